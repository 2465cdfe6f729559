"""GPT-2, GPT-NeoX (Pythia)."""

from torch import nn

from crosslens.models.adapters import Adapter, register


@register("gpt2")
class GPT2(Adapter):
    """GPT-2. `resid_pre` of block 0 holds the learned position embedding too."""

    @property
    def decoder(self) -> nn.Module:
        return self.model.transformer

    @property
    def blocks(self) -> nn.ModuleList:
        return self.decoder.h

    @property
    def final_norm(self) -> nn.Module:
        return self.decoder.ln_f

    def attn_out(self, block: nn.Module) -> nn.Module:
        return block.attn

    def mlp_out(self, block: nn.Module) -> nn.Module:
        return block.mlp


@register("gpt_neox")
class GPTNeoX(Adapter):
    """GPT-NeoX and Pythia. Both halves read `resid_pre` (`use_parallel_residual`), and both are added to it."""

    @property
    def decoder(self) -> nn.Module:
        return self.model.gpt_neox

    @property
    def final_norm(self) -> nn.Module:
        return self.decoder.final_layer_norm

    def attn_out(self, block: nn.Module) -> nn.Module:
        return block.attention

    def mlp_out(self, block: nn.Module) -> nn.Module:
        return block.mlp
