"""Tensors as text that a script can hold: the model's own, in the smallest type that loses nothing."""

from base64 import b64encode

import torch
from safetensors.torch import save
from torch import Tensor

from crosslens.models.load import LoadedModel


def model_tensors(loaded: LoadedModel) -> dict[str, Tensor]:
    """Of a Gemma-3 vision-language model, named as the JavaScript knows them whatever transformers calls them: `text.…` (blocks,
    embedding, last norm), `head.weight` where it is not the embedding, `vision.…` and `projector.…`."""
    adapter = loaded.adapter
    parts = {"text": adapter.decoder, "vision": adapter.vision_tower, "projector": adapter.projector}
    found = {
        f"{part}.{name.removeprefix('vision_model.')}": tensor
        for part, module in parts.items()
        for name, tensor in module.state_dict().items()
    }
    if adapter.unembed.weight is not adapter.embed.weight:
        found["head.weight"] = adapter.unembed.weight
    return found


def smallest(tensor: Tensor) -> Tensor:
    """The same numbers in float16 or bfloat16 where either holds all of them, else in float32."""
    exact = tensor.detach().float().cpu()
    for dtype in (torch.float16, torch.bfloat16):
        if torch.equal((small := exact.to(dtype)).float(), exact):
            return small
    return exact


def as_text(tensors: dict[str, Tensor]) -> str:
    """A safetensors file of them, in base64."""
    return b64encode(save({name: tensor.contiguous() for name, tensor in tensors.items()})).decode("ascii")
