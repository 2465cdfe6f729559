"""What differs between model families: where blocks, norms and image tokens are."""

from collections.abc import Callable
from typing import Any

import torch
from PIL.Image import Image
from torch import nn

from crosslens.errors import InputError


class Adapter:
    """A family of decoder models, seen through one set of names. `model` is the transformers model itself."""

    is_vision = False
    """Loaded with AutoModelForImageTextToText and AutoProcessor rather than as a text-only model."""

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
    def unembed(self) -> nn.Module:
        """Maps the normed (…, d_model) to logits (…, vocabulary), before any softcap."""
        return self.model.lm_head

    @property
    def text_config(self) -> Any:
        """The configuration of the language model."""
        return self.model.config.get_text_config()

    @property
    def logit_softcap(self) -> float | None:
        """c of `logits ← c · tanh(logits / c)`, where the family caps its logits."""
        return getattr(self.text_config, "final_logit_softcapping", None)

    @property
    def image_token_id(self) -> int | None:
        """The id of the soft token that stands for a piece of an image."""
        return None

    def attn_out(self, block: nn.Module) -> nn.Module:
        """The module whose output is what attention adds to the residual stream."""
        raise NotImplementedError

    def mlp_out(self, block: nn.Module) -> nn.Module:
        """The module whose output is what the MLP adds to the residual stream."""
        raise NotImplementedError

    def expand_images(self, text: str) -> str:
        """Rendered chat text with every image marker replaced by the soft tokens of an image."""
        raise NotImplementedError

    def image_inputs(self, images: list[Image]) -> dict[str, torch.Tensor]:
        """Model inputs made of the images alone, in the order of their samples."""
        raise NotImplementedError


class Gemma3Text(Adapter):
    """Gemma 3, text only. Its halves have norms of their own behind them, so what they add is what those return."""

    @property
    def decoder(self) -> nn.Module:
        return self.model.model

    def attn_out(self, block: nn.Module) -> nn.Module:
        return block.post_attention_layernorm

    def mlp_out(self, block: nn.Module) -> nn.Module:
        return block.post_feedforward_layernorm


class Gemma3(Gemma3Text):
    """Gemma 3 with its SigLIP tower. One view per image: pan and scan would change the text with the picture's size."""

    is_vision = True

    @property
    def decoder(self) -> nn.Module:
        return self.model.model.language_model

    @property
    def logit_softcap(self) -> None:
        # transformers' Gemma3ForConditionalGeneration never caps, whatever the text configuration says.
        return None

    @property
    def image_token_id(self) -> int:
        return self.model.config.image_token_id

    def expand_images(self, text: str) -> str:
        return text.replace(self.processor.boi_token, self.processor.full_image_sequence)

    def image_inputs(self, images: list[Image]) -> dict[str, torch.Tensor]:
        nested = [[image] for image in images]
        found = self.processor.image_processor(images=nested, do_pan_and_scan=False, return_tensors="pt")
        return {"pixel_values": found["pixel_values"].to(self.model.dtype)}


ADAPTERS: dict[str, type[Adapter]] = {"gemma3": Gemma3, "gemma3_text": Gemma3Text}
"""By `model_type` of the model's configuration."""


def register(model_type: str) -> Callable[[type[Adapter]], type[Adapter]]:
    """Class decorator: use this adapter for models of `model_type`."""

    def add(adapter: type[Adapter]) -> type[Adapter]:
        ADAPTERS[model_type] = adapter
        return adapter

    return add


def adapter_for(model_type: str, where: object) -> type[Adapter]:
    """The adapter of `model_type`; InputError when there is none."""
    if model_type not in ADAPTERS:
        raise InputError(
            where,
            found=f"model type {model_type!r}",
            expected=f"one of {', '.join(sorted(ADAPTERS))}",
            mend="choose a model of these families, or add an adapter in crosslens.models.adapters",
        )
    return ADAPTERS[model_type]
