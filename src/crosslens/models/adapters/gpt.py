"""GPT-2, GPT-NeoX (Pythia)."""

from torch import nn

from crosslens.models.adapters import Adapter, register
from crosslens.models.heads import Heads, heads_of


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

    def heads(self, block: nn.Module) -> Heads:
        # Conv1D holds what a linear layer has, transposed
        q, k, v = block.attn.c_attn.weight.T.chunk(3)
        gain, d_head = block.ln_1.weight, block.attn.head_dim
        return heads_of(q, k, v, block.attn.c_proj.weight.T, d_head=d_head, gain=gain, centred=True)

    def projections(self, block: nn.Module) -> dict[str, nn.Module]:
        return {"o": block.attn.c_proj}


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

    def heads(self, block: nn.Module) -> Heads:
        # one head after the other, each with its queries, keys and values
        attention, gain = block.attention, block.input_layernorm.weight
        packed = attention.query_key_value.weight
        q, k, v = packed.view(-1, 3, attention.head_size, packed.shape[1]).unbind(1)
        parts = (part.flatten(0, 1) for part in (q, k, v))
        return heads_of(*parts, attention.dense.weight, d_head=attention.head_size, gain=gain, centred=True)

    def projections(self, block: nn.Module) -> dict[str, nn.Module]:
        return {"o": block.attention.dense}
