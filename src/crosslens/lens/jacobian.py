"""The Jacobian lens in its row form: towards where does the residual stream of a block push a later gendered word?

Of each block the gradient of the logit difference of two words, taken at the position that predicts them, with regard to the
residual stream at the positions before it: averaged over these and over prompts. One backward pass tells all blocks of a
prompt. The whole lens would average the Jacobian of the last block's stream; its row for one difference of logits is all that
is needed to read gender, and a direction to steer by.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from crosslens.lens.lenses import LENSES, Reader
from crosslens.lens.odds import Contrast, batched, gradients, parted
from crosslens.models.inputs import Batch
from crosslens.models.load import LoadedModel

FIRST = 4
"""Positions left out at the start, where attention rests and norms are orders of magnitude larger."""
SOURCES = ("prompt", "caption", "generated")


class Directions(NamedTuple):
    """What is found at train places; float32 on the CPU."""

    rows: Tensor
    """(L, d): rows of the Jacobian lens, logits per unit of the residual stream at a mean source position."""
    read: dict[str, Tensor]
    """Lens -> (L, d): mean gradient of the lens' own logit difference at the places."""
    mean: Tensor
    """(L, d): mean state at the places."""
    prompts: int
    sources: float
    """Source positions a prompt, on average."""


def directions(
    loaded: LoadedModel,
    reader: Reader,
    contrasts: Sequence[Contrast],
    *,
    images: Path | None,
    batch: int,
) -> Directions:
    """Means over the contrasts, of which there is one at least; sums in float64.

    Sources are text tokens from position FIRST on, and the place itself; image tokens, of which a picture has more than a text
    has words, are none.
    """
    shape = loaded.n_layers, loaded.d_model
    rows, mean, counted = (
        torch.zeros(shape, dtype=torch.float64),
        torch.zeros(shape, dtype=torch.float64),
        0.0,
    )
    read = {lens: torch.zeros(shape, dtype=torch.float64) for lens in LENSES}
    for _, chosen, inputs in batched(loaded, contrasts, images=images, batch=batch):
        found, streams, _ = gradients(loaded, reader, chosen, inputs)
        sources = _sources(inputs)
        number = sources.sum(dim=1)
        counted += float(number.sum())
        for layer, (gradient, stream) in enumerate(zip(found, streams, strict=True)):
            share = (sources / number[:, None]).to(gradient)
            rows[layer] += torch.einsum("bt,btd->d", share, gradient).double().cpu()
            place = stream[:, -1].float()
            mean[layer] += place.double().sum(dim=0).cpu()
            for lens in LENSES:
                read[lens][layer] += _own_gradient(reader, lens, layer, place, chosen).double().cpu()
    n = len(contrasts)
    return Directions(
        (rows / n).float(),
        {lens: (of / n).float() for lens, of in read.items()},
        (mean / n).float(),
        n,
        counted / n,
    )


def _sources(inputs: Batch) -> Tensor:
    """(B, T) bool."""
    sources = inputs.has_role(SOURCES) & (inputs.position >= FIRST)
    sources[:, -1] = True
    return sources


def _own_gradient(
    reader: Reader, lens: str, layer: int, place: Tensor, contrasts: Sequence[Contrast]
) -> Tensor:
    """(d): sum over the places (B, d) of the gradient of what the lens reads there."""
    with torch.enable_grad():
        leaf = place.clone().requires_grad_()
        value = parted(reader.logits(lens, layer, leaf), contrasts)
        (found,) = torch.autograd.grad(value.sum(), [leaf])
    return found.sum(dim=0)
