"""Does the output move as a lens says when the direction that it reads is taken away?

After Belrose et al. (2023), section 4.2, for the one direction of gender: at the place the part of the state along the
direction is replaced by its mean over train places, h ← h - ((h - mean)·v)v. The lens says by how much the logit difference
changes (stimulus), the rest of the model says by how much it does (response).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from crosslens.lens.jacobian import Directions
from crosslens.lens.lenses import LENSES, Reader, sites_of
from crosslens.lens.odds import Contrast, batched, parted
from crosslens.models.hooks import capture, edit
from crosslens.models.inputs import Batch
from crosslens.models.load import LoadedModel
from crosslens.progress import Progress

JACOBIAN, RANDOM = "jacobian", "random"
CHECKED = (*LENSES, JACOBIAN, RANDOM)
"""random: as much as the tuned lens' direction holds, along a direction drawn at random, of which nothing is said."""
QUANTITIES = ("said", "moved", "size")


@torch.inference_mode()
def rows_read(
    loaded: LoadedModel, found: Directions, contrasts: Sequence[Contrast], *, images: Path | None, batch: int
) -> np.ndarray:
    """(n, L) float64: what the Jacobian lens' row reads at each place, less what it reads at the mean of train places."""
    sites, values = sites_of(loaded), np.zeros((len(contrasts), loaded.n_layers))
    for rows, _, inputs in batched(loaded, contrasts, images=images, batch=batch):
        for layer, state in enumerate(_states(loaded, sites, inputs)):
            offset = state - found.mean[layer].to(state.device)
            values[rows, layer] = (offset @ found.rows[layer].to(state.device)).double().cpu().numpy()
    return values


@torch.inference_mode()
def ablations(
    loaded: LoadedModel,
    reader: Reader,
    found: Directions,
    contrasts: Sequence[Contrast],
    *,
    images: Path | None,
    batch: int,
    seed: int,
) -> np.ndarray:
    """(n, CHECKED, L, QUANTITIES) float64; a pass for each direction of each block.

    said, moved: change of the logit difference by the lens and by the model, when what its direction holds is replaced; size:
    length of the change. Raises RuntimeError where adding nothing changes a logit difference.
    """
    sites = sites_of(loaded)
    values = np.zeros((len(contrasts), len(CHECKED), len(sites), len(QUANTITIES)))
    generator = torch.Generator().manual_seed(seed)
    lines = {
        **found.read,
        JACOBIAN: found.rows,
        RANDOM: torch.randn(len(sites), loaded.d_model, generator=generator),
    }
    progress = Progress("causal check", len(contrasts), "places")
    for rows, chosen, inputs in batched(loaded, contrasts, images=images, batch=batch):
        states = _states(loaded, sites, inputs)
        clean = parted(reader.head(states[-1]), chosen)

        def moved(layer: int, change: Tensor, inputs=inputs, chosen=chosen, clean=clean) -> Tensor:
            with edit(loaded, sites[layer], lambda value: _added(value, change)):
                (last,) = _states(loaded, sites[-1:], inputs)
            return parted(reader.head(last), chosen) - clean

        if moved(0, torch.zeros_like(states[0])).any():
            raise RuntimeError("adding nothing to the residual stream changed a logit: edits are no check")
        for layer, state in enumerate(states):
            offset = state - found.mean[layer].to(state.device)
            held: dict[str, Tensor] = {}
            for i, name in enumerate(CHECKED):
                line = torch.nn.functional.normalize(lines[name][layer], dim=0).to(state.device)
                held[name] = held[LENSES[-1]] if name == RANDOM else offset @ line
                change = -held[name][:, None] * line
                if name in LENSES:
                    after, before = (reader.logits(name, layer, h) for h in (state + change, state))
                    said = parted(after, chosen) - parted(before, chosen)
                elif name == JACOBIAN:
                    said = change @ found.rows[layer].to(state.device)
                else:
                    said = torch.zeros(len(state), device=state.device)
                told = (said, moved(layer, change), change.norm(dim=1))
                values[rows, i, layer] = torch.stack([of.double().cpu() for of in told], dim=1).numpy()
        progress.update(len(rows))
    return values


def _states(loaded: LoadedModel, sites: Sequence[str], inputs: Batch) -> list[Tensor]:
    """(B, d) float32 at the last column, of each site."""
    with capture(loaded, sites, stop=True) as captured:
        loaded.model(**inputs.inputs, use_cache=False)
    return [captured[site][:, -1].float() for site in sites]


def _added(value: Tensor, change: Tensor) -> Tensor:
    """value (B, T, d) with `change` (B, d) float32 added at the last column."""
    edited = value.clone()
    edited[:, -1] = (value[:, -1].float() + change.to(value.device)).to(value.dtype)
    return edited
