"""The names under which every family is seen."""

from collections.abc import Mapping
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor, nn
from transformers import AutoProcessor

from crosslens.errors import InputError
from crosslens.models.heads import Heads


class Adapter:
    """A family of decoder models, seen through one set of names. `model` is the transformers model itself.

    Every block composes as `resid_post = resid_pre + attn_gate · attn_out + mlp_gate · mlp_out`, whether its halves run
    one behind the other or side by side.
    """

    is_vision = False
    """Loaded with AutoModelForImageTextToText and a processor rather than as a text-only model."""

    processor_class: Any = AutoProcessor
    """What loads the processor of a vision-language model."""

    sized_images = False
    """The number of an image's tokens depends on its size in pixels."""

    mixes_images = True
    """Samples with and without an image may stand in one batch."""

    overflows_float16: str | None = None
    """Why this family cannot be computed in float16, whose largest number is 65,504; None where it can."""

    def __init__(self, model: nn.Module, processor: Any, tokenizer: Any):
        self.model, self.processor, self.tokenizer = model, processor, tokenizer

    @property
    def decoder(self) -> nn.Module:
        """The stack of blocks with its embedding and final norm."""
        raise NotImplementedError

    @property
    def blocks(self) -> nn.ModuleList:
        """The decoder blocks, first to last."""
        return self.decoder.layers

    @property
    def final_norm(self) -> nn.Module:
        """The norm between the last block and the unembedding."""
        return self.decoder.norm

    @property
    def embed(self) -> nn.Module:
        """Maps token ids to vectors (…, d_model)."""
        return self.model.get_input_embeddings()

    @property
    def unembed(self) -> nn.Module:
        """Maps the normed (…, d_model) to logits (…, vocabulary), before any scale or softcap."""
        return self.model.get_output_embeddings()

    @property
    def vision_tower(self) -> nn.Module | None:
        """The image encoder; None for text-only models."""
        return None

    @property
    def projector(self) -> nn.Module | None:
        """What takes the image encoder's output to d_model; None for text-only models."""
        return None

    @property
    def tower_halves(self) -> list[tuple[nn.Module, nn.Module]]:
        """Attention and MLP of each block of the image encoder, first to last, whose outputs are added there, scaled perhaps."""
        return []

    @property
    def text_config(self) -> Any:
        """The configuration of the language model."""
        return self.model.config.get_text_config()

    @property
    def max_tokens(self) -> int | None:
        """The longest text that the model was made for; None where its configuration says nothing (ALiBi)."""
        return getattr(self.text_config, "max_position_embeddings", None)

    @property
    def logit_scale(self) -> float:
        """Factor on the unembedded logits."""
        return 1.0

    @property
    def logit_softcap(self) -> float | None:
        """c of `logits ← c · tanh(logits / c)`, where the family caps its logits."""
        return getattr(self.text_config, "final_logit_softcapping", None)

    def logits(
        self, residual: Tensor, *, norm: nn.Module | None = None, unembed: nn.Module | None = None
    ) -> Tensor:
        """Logits (…, vocabulary) of `resid_post` (…, d_model) of the last block, as the model computes them.

        For earlier blocks this is the logit lens. norm, unembed: copies of the model's own, in another precision.
        """
        logits = (unembed or self.unembed)((norm or self.final_norm)(residual)) * self.logit_scale
        if (cap := self.logit_softcap) is not None:
            logits = torch.tanh(logits / cap) * cap
        return logits

    def attn_out(self, block: nn.Module) -> nn.Module:
        """The module whose output, times `attn_gate`, is what attention adds to the residual stream."""
        raise NotImplementedError

    def mlp_out(self, block: nn.Module) -> nn.Module:
        """The module whose output, times `mlp_gate`, is what the MLP adds to the residual stream."""
        raise NotImplementedError

    def attn_gate(self, block: nn.Module) -> Tensor | float | None:
        """The factor of attention's output in the pass that is running; None where there is none."""
        return None

    def mlp_gate(self, block: nn.Module) -> Tensor | float | None:
        """The factor of the MLP's output in the pass that is running; None where there is none."""
        return None

    def heads(self, block: nn.Module) -> Heads | None:
        """The block's attention heads as matrices; None where the family does not say, or the block attends to images."""
        return None

    def projections(self, block: nn.Module) -> dict[str, nn.Module]:
        """`q` and `k`, what makes the queries and keys of the block's attention, and `o`, which reads its heads' outputs side by
        side: those of them that are modules of their own, one head's channels behind the other's."""
        attention = getattr(block, "self_attn", None)
        found = {name: getattr(attention, f"{name}_proj", None) for name in "qko"}
        return {name: module for name, module in found.items() if module is not None}

    @property
    def chat_template(self) -> Any:
        """The template of the tokenizer, or of the processor of a model that sees; None where there is none."""
        return self.tokenizer.chat_template

    @property
    def image_token_id(self) -> int | None:
        """The id of the token that stands for a piece of an image, or for an image."""
        return None

    @property
    def image_marker(self) -> str:
        """What stands for an image in the text before its tokens are filled in."""
        raise NotImplementedError

    def image_text(self, size: tuple[int, int] | None) -> str:
        """What the marker becomes for an image of (height, width) pixels; None where `sized_images` is False."""
        raise NotImplementedError

    def plain_frame(self, *, image: bool, with_caption: bool) -> tuple[str, str, str]:
        """Without a chat template: the text before the prompt, between prompt and caption, and behind the caption."""
        if image:
            raise InputError(
                self.model.name_or_path,
                found="no chat template",
                expected="one that says where in the text an image stands",
                mend="save the processor with its chat template, or choose an instruction-tuned model",
            )
        return "", "\n" if with_caption else "", ""

    def image_inputs(self, images: list[Image]) -> dict[str, Tensor]:
        """Model inputs made of the images alone, in the order of their samples."""
        raise NotImplementedError

    def token_inputs(self, role: Tensor, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Model inputs that follow from the roles (B, T) uint8 and the images' inputs: which tokens see which."""
        return {}

    def position_ids(self, position: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
        """The model's position_ids, (B, T) or (axes, B, T), for positions (B, T) int64 that count real tokens from 0."""
        return position

    def step_inputs(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Inputs (B, …) that a decoding step behind `inputs` needs besides ids, mask, positions and cache."""
        return {}


class VisionAdapter(Adapter):
    """A family that sees images: an encoder whose projected output takes the place of image tokens."""

    is_vision = True

    @property
    def decoder(self) -> nn.Module:
        return self.model.model.language_model

    @property
    def vision_tower(self) -> nn.Module:
        return self.model.model.vision_tower

    @property
    def projector(self) -> nn.Module:
        return self.model.model.multi_modal_projector

    @property
    def tower_halves(self) -> list[tuple[nn.Module, nn.Module]]:
        found = []
        for block in self.vision_tower.modules():
            attention = getattr(block, "self_attn", getattr(block, "attn", None))
            if isinstance(attention, nn.Module) and isinstance(getattr(block, "mlp", None), nn.Module):
                found.append((attention, block.mlp))
        return found

    @property
    def chat_template(self) -> Any:
        return self.processor.chat_template

    @property
    def image_token_id(self) -> int:
        return self.model.config.image_token_id

    @property
    def image_marker(self) -> str:
        return self.processor.image_token

    def image_text(self, size: tuple[int, int] | None) -> str:
        found = self.processor._get_num_multimodal_tokens(image_sizes=[size])
        return self.processor.image_token * int(found["num_image_tokens"][0])

    def image_inputs(self, images: list[Image]) -> dict[str, Tensor]:
        return self._as_inputs(self.processor.image_processor(images=images, return_tensors="pt"))

    def _as_inputs(self, found: Mapping[str, Any]) -> dict[str, Tensor]:
        """The tensors among them, pixels in the model's dtype."""
        tensors = {name: value for name, value in found.items() if isinstance(value, Tensor)}
        return {n: t.to(self.model.dtype) if t.is_floating_point() else t for n, t in tensors.items()}
