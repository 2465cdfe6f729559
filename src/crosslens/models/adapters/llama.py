"""Llama, SmolLM2, Mistral, LLaVA 1.5, Llama 3.2 Vision."""

from collections.abc import Mapping
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor, nn

from crosslens.errors import InputError
from crosslens.models.adapters import Adapter, VisionAdapter, known_adapter, register
from crosslens.models.heads import Heads, projected
from crosslens.tables.roles import IMAGE


@register("llama", "mistral")
class Llama(Adapter):
    """Llama, SmolLM2, Mistral: norms before the halves, nothing behind them."""

    @property
    def decoder(self) -> nn.Module:
        return self.model.model

    def attn_out(self, block: nn.Module) -> nn.Module:
        return block.self_attn

    def mlp_out(self, block: nn.Module) -> nn.Module:
        return block.mlp

    def heads(self, block: nn.Module) -> Heads | None:
        if (attention := getattr(block, "self_attn", None)) is None:
            return None
        return projected(attention, gain=block.input_layernorm.weight)


@register("llava")
class Llava(VisionAdapter, Llama):
    """LLaVA 1.5 and its like: a CLIP or SigLIP tower before a language model that is built like Llama."""

    def __init__(self, model: nn.Module, processor: Any, tokenizer: Any):
        super().__init__(model, processor, tokenizer)
        language = self.text_config.model_type
        if not issubclass(known_adapter(language) or Adapter, Llama):
            raise InputError(
                model.name_or_path,
                found=f"LLaVA with the language model {language!r}",
                expected="one that is built like Llama",
                mend="choose another LLaVA, or register an adapter of your own for `llava`",
            )
        if (tower := model.config.vision_config.model_type) == "pixtral":
            raise InputError(
                model.name_or_path,
                found=f"LLaVA with the image encoder {tower!r}",
                expected="one that sees all pictures at one size",
                mend="choose another LLaVA, or register an adapter of your own for `llava`",
            )

    def image_text(self, size: tuple[int, int] | None) -> str:
        # transformers 5.23 asks for the crop, and pictures for a SigLIP tower are not cropped.
        pictures = self.processor.image_processor
        shown = pictures.crop_size or pictures.size
        crop = {side: shown[side] for side in ("height", "width")}
        found = self.processor._get_num_multimodal_tokens(image_sizes=[size], crop_size=crop)
        return self.processor.image_token * int(found["num_image_tokens"][0])


@register("mllama")
class Mllama(VisionAdapter, Llama):
    """Llama 3.2 Vision. Some blocks hold cross-attention to the image in place of self-attention, with gated halves.

    Without an image the model skips these blocks, so their sites cannot be read then; and a sample without an image
    beside one that has it would attend to padding, so such batches are refused.
    """

    mixes_images = False

    def __init__(self, model: nn.Module, processor: Any, tokenizer: Any):
        super().__init__(model, processor, tokenizer)
        self._sees_image: dict[nn.Module, Tensor | None] = {}
        for block in self.blocks:
            if hasattr(block, "cross_attn"):
                block.register_forward_pre_hook(self._remember_rows, with_kwargs=True)

    def _remember_rows(self, block: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        self._sees_image[block] = kwargs.get("full_text_row_masked_out_mask")

    @property
    def vision_tower(self) -> nn.Module:
        return self.model.model.vision_model

    def attn_out(self, block: nn.Module) -> nn.Module:
        return block.cross_attn if hasattr(block, "cross_attn") else block.self_attn

    def attn_gate(self, block: nn.Module) -> Tensor | None:
        return block.cross_attn_attn_gate.tanh() if hasattr(block, "cross_attn") else None

    def mlp_gate(self, block: nn.Module) -> Tensor | None:
        if not hasattr(block, "cross_attn"):
            return None
        gate = block.cross_attn_mlp_gate.tanh()
        rows = self._sees_image[block]
        # The model drops this half, not the attention, where a token stands before the image: rows is (B, 1, T, 1).
        # They were seen before the block was given them, so they may be where the block before it is.
        return gate if rows is None else gate * rows[:, 0].to(gate.device)

    def image_text(self, size: tuple[int, int] | None) -> str:
        return self.processor.image_token

    def plain_frame(self, *, image: bool, with_caption: bool) -> tuple[str, str, str]:
        marker = self.image_marker if image else ""
        return marker + self.tokenizer.bos_token, "\n" if with_caption else "", ""

    def image_inputs(self, images: list[Image]) -> dict[str, Tensor]:
        nested = [[image] for image in images]
        return self._as_inputs(self.processor.image_processor(images=nested, return_tensors="pt"))

    def token_inputs(self, role: Tensor, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if "pixel_values" not in inputs:
            return {}
        # From its image on a token sees the tiles that the image fills: (B, T, one image, tiles).
        behind = torch.cumsum(role == IMAGE, dim=1) > 0
        return {"cross_attention_mask": behind[:, :, None, None] * inputs["aspect_ratio_mask"][:, None]}

    def step_inputs(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if "cross_attention_mask" not in inputs:
            return {}
        return {"cross_attention_mask": inputs["cross_attention_mask"].amax(dim=1, keepdim=True)}
