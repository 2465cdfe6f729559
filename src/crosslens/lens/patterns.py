"""Attention patterns of heads as they are computed, block by block, and what is said of each head in numbers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from crosslens.errors import InputError
from crosslens.models.inputs import Batch
from crosslens.models.load import LoadedModel
from crosslens.tables.roles import CAPTION, GENERATED, IMAGE, PROMPT

MODULES = ("self_attn", "attn", "attention")
"""What blocks of the families call their self-attention; one that attends to an image has none of these."""
SCORES = ("itself", "previous", "first", "image", "entropy", "distance")
"""Of a query: weight on itself, on the token before it, on the first token (BOS where there is one), on all image tokens
(NaN where there are none); entropy of its weights in bits; mean distance of its keys in tokens."""


def self_attention(block: nn.Module) -> nn.Module | None:
    """The module of a block that attends to the text itself."""
    return next((getattr(block, name) for name in MODULES if hasattr(block, name)), None)


def attentive(loaded: LoadedModel) -> list[int]:
    """The blocks that attend to the text; InputError where there is none."""
    found = [layer for layer, block in enumerate(loaded.adapter.blocks) if self_attention(block) is not None]
    if not found:
        raise InputError(
            loaded.id,
            found="no block with self-attention under a known name",
            expected=f"one of {', '.join(MODULES)} in a block",
            mend="leave `attention` out of the study",
        )
    return found


@contextmanager
def watching(loaded: LoadedModel, read: Callable[[int, Tensor], None]) -> Iterator[None]:
    """Call `read(layer, weights)` with every block's weights (B, H, T, T) in the passes inside, one block after the other.

    Rows are queries. Key-value heads that serve several query heads and sliding windows are in them, as the model has them.
    Raises InputError where the model computes attention without weights (`attention: sdpa`).
    """

    def reader(layer: int) -> Callable:
        def hook(module: nn.Module, args: tuple, output: tuple | Tensor) -> None:
            weights = output[1] if isinstance(output, tuple) and len(output) > 1 else None
            if not isinstance(weights, Tensor) or weights.ndim != 4:
                raise InputError(
                    f"block {layer} of {loaded.id}",
                    found="attention that gives no weights",
                    expected="eager attention",
                    mend="load the model with attention: eager",
                )
            read(layer, weights)

        return hook

    handles = []
    try:
        for layer in attentive(loaded):
            module = self_attention(loaded.adapter.blocks[layer])
            handles.append(module.register_forward_hook(reader(layer)))
        yield
    finally:
        for handle in handles:
            handle.remove()


class Rows(NamedTuple):
    """A sample's own tokens in a batch."""

    columns: Tensor
    """(T) their columns."""
    role: Tensor
    """(T) of each."""


def rows_of(batch: Batch) -> list[Rows]:
    """Each sample of a batch without its padding."""
    found = []
    for position, role in zip(batch.position, batch.role, strict=True):
        columns = torch.nonzero(position >= 0).squeeze(1)
        found.append(Rows(columns, role[columns]))
    return found


def own_pattern(weights: Tensor, row: int, of: Rows) -> Tensor:
    """(H, T, T) float32 of one sample out of a block's weights (B, H, T, T), padding taken out."""
    columns = of.columns.to(weights.device)
    return weights[row][:, columns][:, :, columns].float()


def queries(role: Tensor) -> Tensor:
    """(T) bool: text tokens but the first token of all."""
    text = torch.isin(role, torch.tensor([PROMPT, CAPTION, GENERATED], dtype=role.dtype, device=role.device))
    text[0] = False
    return text


def scores(pattern: Tensor, role: Tensor) -> Tensor:
    """(SCORES, H): means over the queries of a pattern (H, T, T); NaN where there is no query."""
    at = torch.nonzero(queries(role)).squeeze(1).to(pattern.device)
    if not len(at):
        return pattern.new_full((len(SCORES), len(pattern)), torch.nan)
    own = pattern[:, at]
    keys = torch.arange(pattern.shape[-1], device=pattern.device)
    image = (role == IMAGE).to(pattern.device)
    pointed = own.gather(2, at[None, :, None].expand(len(pattern), -1, 1))[..., 0]
    previous = own.gather(2, (at - 1)[None, :, None].expand(len(pattern), -1, 1))[..., 0]
    on_image = own[..., image].sum(dim=-1) if image.any() else torch.full_like(pointed, torch.nan)
    entropy = -torch.special.xlogy(own, own).sum(dim=-1) / torch.log(torch.tensor(2.0))
    distance = (own * (at[:, None] - keys).abs()).sum(dim=-1)
    found = (pointed, previous, own[..., 0], on_image, entropy, distance)
    return torch.stack([of.mean(dim=-1) for of in found])


def induction(pattern: Tensor, length: int) -> Tensor:
    """(H): of a pattern (H, T, T) of random tokens that are said twice behind what comes before them: mean weight of the second
    saying's tokens on the token behind the same token of the first (Olsson et al. 2022, arXiv 2209.11895). T ends with both.
    """
    second = torch.arange(pattern.shape[-1] - length, pattern.shape[-1], device=pattern.device)
    return pattern[:, second, second - length + 1].mean(dim=-1)
