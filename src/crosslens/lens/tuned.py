"""Fitting the tuned lens: of each block an affine map whose reading is least far from what the model says at its end.

Belrose et al. (2023), "Eliciting latent predictions from transformers with the tuned lens" (arXiv 2303.08112): least
KL(model ‖ lens). The map starts where the identity or the least squares map to the last block's residual stream is better, and
the best of all epochs on all training tokens is kept: on these the tuned lens is never worse than the logit lens.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor

from crosslens.features.splice import COUNTED, batches, choose, kl_divergence
from crosslens.lens.lenses import LENSES, TUNED_FILE, Translators, sites_of
from crosslens.memory import memory_kept
from crosslens.models.head import Head
from crosslens.models.hooks import capture
from crosslens.models.load import LoadedModel, load_model
from crosslens.progress import Progress
from crosslens.tables.documents import read_table, write_json

log = logging.getLogger(__name__)

ROWS = 256
"""Tokens of one step and of one reading: their logits are held at once."""
RATE = 1e-3
"""Of Adam, times the root mean square of an entry of the map's input and output: falls to 0 over the steps."""
RIDGE = 1e-4
"""Of the least squares, times the mean variance."""


class States(NamedTuple):
    """Tokens that predict a token of a text."""

    residual: list[Tensor]
    """Of each block (N, d) float32, on the CPU."""
    group: list[str]
    """(N) what the token's sample belongs to."""


def fit_lenses(
    *,
    model: dict[str, Any],
    datasets: dict[str, Path],
    images: Path | None,
    samples: int,
    tokens: int,
    epochs: int,
    batch: int,
    seed: int,
    out: Path,
) -> None:
    """Write `tuned.safetensors` (the maps) and `lenses.json` (kind lenses) to the folder `out`.

    model: keyword arguments of load_model. datasets: language -> table. Of each language at most `samples` train samples and
    `tokens` of their tokens that predict one of the caption's, all languages together, `epochs` times. Bits are of
    KL(model ‖ lens), a mean over these tokens.
    """
    loaded = load_model(**model)
    head, states = Head(loaded), {}
    for language, path in datasets.items():
        frame = read_table(path, "dataset")
        rows = choose(frame[frame["split"] == "train"], samples, seed)
        states[language] = states_of(loaded, rows, images, batch, limit=tokens)
    joint = [torch.cat([of.residual[layer] for of in states.values()]) for layer in range(loaded.n_layers)]
    with memory_kept():
        translators = fit(head, joint, epochs=epochs, seed=seed, device=loaded.device)
        bits = {
            language: {
                lens: [float(of.mean()) for of in divergences(head, translators, lens, own.residual)]
                for lens in LENSES
            }
            for language, own in states.items()
        }
    out.mkdir(parents=True, exist_ok=True)
    translators.save(out / TUNED_FILE)
    write_json(
        out / "lenses.json",
        "lenses",
        {
            "model": loaded.name,
            "d_model": loaded.d_model,
            "layers": loaded.n_layers,
            "split": "train",
            "epochs": epochs,
            "seed": seed,
            "tokens": {language: len(own.group) for language, own in states.items()},
            "bits": bits,
        },
    )


@torch.inference_mode()
def states_of(
    loaded: LoadedModel, frame: pd.DataFrame, images: Path | None, batch: int, *, limit: int | None = None
) -> States:
    """The states of the tokens of `frame`'s samples that predict a token of a caption; the first `limit` of them."""
    sites, found, groups = sites_of(loaded), [], []
    for rows, inputs in batches(loaded, frame, images, batch):
        with capture(loaded, sites, stop=True) as captured:
            loaded.model(**inputs.inputs, use_cache=False)
        predicts = inputs.has_role(COUNTED)[:, 1:]
        found.append(
            [captured[site][:, :-1][predicts.to(captured[site].device)].float().cpu() for site in sites]
        )
        names = rows["group" if "group" in rows else "image_id"].astype(str).tolist()
        groups += [names[row] for row in predicts.nonzero()[:, 0].tolist()]
        if limit is not None and len(groups) >= limit:
            break
    residual = [torch.cat(of)[:limit] for of in zip(*found, strict=True)]
    return States(residual, groups[:limit])


def fit(
    head: Head, residual: Sequence[Tensor], *, epochs: int, seed: int, device: torch.device | str = "cpu"
) -> Translators:
    """The maps of all blocks but the last. residual: of every block (N, d) float32, of the same tokens."""
    *earlier, last = residual
    starts = [_start(head, x, last, device) for x in earlier]
    kept = [([of.clone() for of in start], value) for start, value in starts]
    maps = [[torch.nn.Parameter(of) for of in start] for start, _ in starts]
    steps = epochs * math.ceil(len(last) / ROWS)
    rates = [_rates(x, last) for x in earlier]
    optimisers = [
        torch.optim.Adam([{"params": [one], "lr": rate} for one, rate in zip(each, own, strict=True)])
        for each, own in zip(maps, rates, strict=True)
    ]
    decays = [
        torch.optim.lr_scheduler.LambdaLR(each, lambda step: max(0.0, 1 - step / max(1, steps)))
        for each in optimisers
    ]
    generator = torch.Generator().manual_seed(seed)
    progress = Progress("tuned lens", steps, "steps")
    for _ in range(epochs):
        for rows in torch.randperm(len(last), generator=generator).split(ROWS):
            with torch.no_grad():
                told = head(last[rows].to(device)).log_softmax(-1)
            for x, (weight, bias), optimiser, decay in zip(earlier, maps, optimisers, decays, strict=True):
                read = head(x[rows].to(device) @ weight.T + bias).log_softmax(-1)
                optimiser.zero_grad()
                kl_divergence(told, read).mean().backward()
                optimiser.step()
                decay.step()
            progress.update(1)
        for layer, (x, own) in enumerate(zip(earlier, maps, strict=True)):
            now = [of.detach() for of in own]
            if (value := _bits(head, x, last, *now)) < kept[layer][1]:
                kept[layer] = ([of.clone() for of in now], value)
    found = [of for of, _ in kept]
    d = last.shape[1]
    return Translators(
        *(
            torch.stack([of[i] for of in found]) if found else torch.zeros(0, *(d,) * (2 - i))
            for i in range(2)
        )
    )


def _start(
    head: Head, x: Tensor, last: Tensor, device: torch.device | str
) -> tuple[tuple[Tensor, Tensor], float]:
    """The better of the identity and the least squares map, and its bits."""
    d = last.shape[1]
    identity = torch.eye(d, device=device), torch.zeros(d, device=device)
    candidates = [identity]
    mean, aim = x.mean(dim=0).double(), last.mean(dim=0).double()
    centred = x.double() - mean
    if len(x) > d:
        covariance = centred.T @ centred
        covariance += RIDGE * covariance.diagonal().mean() * torch.eye(d, dtype=torch.float64)
        weight = torch.linalg.solve(covariance, centred.T @ (last.double() - aim)).T
        candidates.append((weight.float().to(device), (aim - weight @ mean).float().to(device)))
    scored = [(pair, _bits(head, x, last, *pair)) for pair in candidates]
    return min(scored, key=lambda each: each[1])


def _rates(x: Tensor, last: Tensor) -> tuple[float, float]:
    """Of the weight and of the bias: a step moves what the map gives by RATE of its size, whatever the units of a model."""
    out, read = (float(of.square().mean().sqrt()) for of in (last, x))
    return RATE * out / max(read, 1e-12) / x.shape[1] ** 0.5, RATE * out


@torch.no_grad()
def _bits(head: Head, x: Tensor, last: Tensor, weight: Tensor, bias: Tensor) -> float:
    """Mean KL(model ‖ lens), bits."""
    total = 0.0
    for rows in torch.arange(len(x)).split(ROWS):
        told = head(last[rows].to(weight.device)).log_softmax(-1)
        read = head(x[rows].to(weight.device) @ weight.T + bias).log_softmax(-1)
        total += float(kl_divergence(told, read).double().sum())
    return total / math.log(2) / max(1, len(x))


@torch.no_grad()
def divergences(
    head: Head, translators: Translators, lens: str, residual: Sequence[Tensor]
) -> Iterator[Tensor]:
    """KL(model ‖ lens) in bits at each of N tokens, (N) float64, block by block."""
    *_, last = residual
    device = translators.weight.device
    for layer, x in enumerate(residual):
        found = []
        for rows in torch.arange(len(x)).split(ROWS):
            told = head(last[rows].to(device)).log_softmax(-1)
            own = x[rows].to(device)
            read = head(translators(layer, own) if lens == "tuned" else own).log_softmax(-1)
            found.append(kl_divergence(told, read).double().cpu() / math.log(2))
        yield torch.cat(found)
