"""Qwen2, Qwen2-VL, Qwen2.5-VL."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from transformers import ProcessorMixin, Qwen2VLProcessor

from crosslens.models.adapters import VisionAdapter, register
from crosslens.models.adapters.llama import Llama
from crosslens.tables.roles import IMAGE


@register("qwen2")
class Qwen2(Llama):
    """Qwen2 and Qwen2.5, built like Llama. There is no BOS: the first token is one of the prompt's frame."""

    overflows_float16 = "attention scores and residuals of Qwen2 exceed it"


class ImagesOnly(Qwen2VLProcessor):
    """The processor of Qwen2-VL without its video half, for which transformers needs torchvision."""

    video_token = video_token_id = None

    def __init__(
        self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None, **ignored: Any
    ):
        self.image_token = getattr(tokenizer, "image_token", "<|image_pad|>")
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)


@register("qwen2_vl", "qwen2_5_vl")
class Qwen2VL(VisionAdapter, Qwen2):
    """Qwen2-VL and Qwen2.5-VL: as many tokens as an image has merged patches, placed by time, height and width."""

    sized_images = True
    processor_class = ImagesOnly

    @property
    def vision_tower(self) -> nn.Module:
        return self.model.model.visual

    @property
    def projector(self) -> nn.Module:
        return self.model.model.visual.merger

    def token_inputs(self, role: Tensor, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"mm_token_type_ids": (role == IMAGE).int()}

    def position_ids(self, position: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
        if "image_grid_thw" not in inputs:
            return position
        names = ("input_ids", "mm_token_type_ids", "image_grid_thw", "attention_mask")
        # Left out they would be computed all the same, but kept as state of the model.
        return self.model.model.get_rope_index(**{name: inputs[name] for name in names})[0]
