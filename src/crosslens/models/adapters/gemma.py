"""Gemma 2 and 3 (text, vision), PaliGemma 1 and 2."""

from collections.abc import Mapping

import torch
from PIL.Image import Image
from torch import Tensor, nn

from crosslens.models.adapters import Adapter, VisionAdapter, register
from crosslens.models.heads import Heads, projected
from crosslens.tables.roles import CAPTION, GENERATED, IMAGE, SPECIAL


@register("gemma2")
class Gemma2(Adapter):
    """Gemma 2. Its halves have norms of their own behind them, so what they add is what those return."""

    overflows_float16 = "residuals of the Gemma family exceed it"

    @property
    def decoder(self) -> nn.Module:
        return self.model.model

    def attn_out(self, block: nn.Module) -> nn.Module:
        return block.post_attention_layernorm

    def mlp_out(self, block: nn.Module) -> nn.Module:
        return block.post_feedforward_layernorm

    def heads(self, block: nn.Module) -> Heads:
        # Gemma's norms multiply by 1 + weight
        norms = {"gain": block.input_layernorm, "out_gain": block.post_attention_layernorm}
        own = {f"{name}_gain": getattr(block.self_attn, f"{name}_norm", None) for name in ("q", "k")}
        norms |= {name: norm for name, norm in own.items() if norm is not None}
        return projected(block.self_attn, **{name: 1 + norm.weight for name, norm in norms.items()})


@register("gemma3_text")
class Gemma3Text(Gemma2):
    """Gemma 3, text only."""

    overflows_float16 = "residuals of Gemma 3 reach 800,000"


@register("gemma3")
class Gemma3(VisionAdapter, Gemma3Text):
    """Gemma 3 with its SigLIP tower. One view per image: pan and scan would change the text with the picture's size."""

    @property
    def logit_softcap(self) -> None:
        # transformers' Gemma3ForConditionalGeneration never caps, whatever the text configuration says.
        return None

    @property
    def image_marker(self) -> str:
        return self.processor.boi_token

    def image_text(self, size: tuple[int, int] | None) -> str:
        return self.processor.full_image_sequence

    def plain_frame(self, *, image: bool, with_caption: bool) -> tuple[str, str, str]:
        return self.image_marker if image else "", "\n" if with_caption else "", ""

    def image_inputs(self, images: list[Image]) -> dict[str, Tensor]:
        nested = [[image] for image in images]
        found = self.processor.image_processor(images=nested, do_pan_and_scan=False, return_tensors="pt")
        return {"pixel_values": found["pixel_values"].to(self.model.dtype)}

    def token_inputs(self, role: Tensor, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        # Without them Gemma 3 attends to image tokens causally, silently.
        return {"token_type_ids": (role == IMAGE).long()}


@register("paligemma")
class PaliGemma(VisionAdapter):
    """PaliGemma (Gemma) and PaliGemma 2 (Gemma 2).

    Image, BOS, prompt and newline are a prefix that sees all of itself; the caption, up to the end token, is causal.
    There is no chat template.
    """

    overflows_float16 = Gemma2.overflows_float16

    def attn_out(self, block: nn.Module) -> nn.Module:
        return block.post_attention_layernorm if self._has_post_norms else block.self_attn

    def mlp_out(self, block: nn.Module) -> nn.Module:
        return block.post_feedforward_layernorm if self._has_post_norms else block.mlp

    def heads(self, block: nn.Module) -> Heads:
        gains = {"gain": 1 + block.input_layernorm.weight}
        if self._has_post_norms:
            gains["out_gain"] = 1 + block.post_attention_layernorm.weight
        return projected(block.self_attn, **gains)

    @property
    def _has_post_norms(self) -> bool:
        # The first Gemma has a `post_attention_layernorm` too, but that one stands before the MLP.
        return self.text_config.model_type == "gemma2"

    @property
    def chat_template(self) -> None:
        return None

    def plain_frame(self, *, image: bool, with_caption: bool) -> tuple[str, str, str]:
        marker = self.image_marker if image else ""
        return marker + self.tokenizer.bos_token, "\n", self.tokenizer.eos_token if with_caption else ""

    def token_inputs(self, role: Tensor, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        # 0 for the prefix, 1 for the suffix. Without them the prefix is causal, silently.
        # What stands before the caption is never special, so a special token that comes first was generated.
        suffix = (role == CAPTION) | (role == GENERATED) | (role == SPECIAL)
        return {"token_type_ids": (torch.cumsum(suffix, dim=1) > 0).long()}

    def position_ids(self, position: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
        return position + 1
