"""What the model loses when an SAE's reconstruction takes the place of the activations (methods 4)."""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from crosslens.errors import InputError
from crosslens.features.encode import check_model
from crosslens.generation.continuation import encode_samples
from crosslens.memory import memory_kept
from crosslens.models.hooks import capture, edit
from crosslens.models.inputs import Batch, as_sample, collate, load_images
from crosslens.models.lengths import check_lengths
from crosslens.models.load import LoadedModel, load_model
from crosslens.progress import Progress
from crosslens.sae.io import check_site, check_width, load_sae, sae_digest
from crosslens.sae.model import SAE
from crosslens.stats.means import resampled_interval
from crosslens.tables.documents import read_table, write_json
from crosslens.tables.roles import SINK_FACTOR

log = logging.getLogger(__name__)

COUNTED = ("caption", "generated")
"""Roles whose tokens are predicted."""

Replacement = Callable[[Tensor], Tensor]
"""Activations (P, d) of the replaced positions to what takes their place, same shape."""
EDITS = ("spliced", "zero", "mean")
TOKENS = 128
"""Whose logits are there at once: 134 MB in float32 with a vocabulary of 262,144."""
BOOTSTRAP = 1000
INTERVAL = 0.95


@torch.inference_mode()
def splice_saes(
    *,
    model: dict[str, Any],
    images: Path | None,
    splices: Sequence[dict[str, Path]],
    site: str,
    roles: Sequence[str],
    max_samples: int,
    batch: int,
    seed: int = 0,
) -> None:
    """Write cross-entropies, CE recovered and KL of each SAE spliced in at `site`, as JSON of kind `spliced`.

    splices: `dataset`, `sae` and `out` of each. The model is loaded once, and what no SAE decides (the clean model, the
    ablations) is computed once for all splices of a dataset; a document does not depend on which others are asked for.
    Teacher-forced captions of at most `max_samples` test samples (for `select`, by which settings are compared, of as many
    of split select), balanced over gender and category by `seed`. Only
    positions of `roles` are replaced: by the reconstruction, by zero, by their mean over train samples; not sinks, which no
    SAE has learned (norm above SINK_FACTOR times the median of these positions over train samples). Losses (nats
    a token) are counted where a caption token is predicted; confidence intervals resample images.
    `CE recovered = (CE_ablated - CE_spliced) / (CE_ablated - CE_clean)`. model: keyword arguments of load_model.
    Raises InputError where an SAE is of another site, model or width, or no test sample is there, and RuntimeError
    where replacing the activations by themselves changes a logit, or ablating them changes none.
    """
    loaded = load_model(**model)
    for splice in splices:
        check_site(splice["sae"], site)
        check_model(splice["sae"], loaded.name, model.get("revision"))
    for dataset in dict.fromkeys(splice["dataset"] for splice in splices):
        saes = {splice["out"]: splice["sae"] for splice in splices if splice["dataset"] == dataset}
        _splice(loaded, dataset, images, saes, site, roles, max_samples, batch, seed)


def _splice(
    loaded: LoadedModel,
    dataset: Path,
    images: Path | None,
    saes: dict[Path, Path],
    site: str,
    roles: Sequence[str],
    max_samples: int,
    batch: int,
    seed: int,
) -> None:
    """The documents of all SAEs on one dataset; saes: file to write -> folder of the SAE."""
    frame = read_table(dataset, "dataset")
    splits = ("train", "select", "test")
    train, select, test = (choose(frame[frame["split"] == split], max_samples, seed) for split in splits)
    for split, rows in zip(splits, (train, select, test), strict=True):
        if rows.empty:
            raise InputError(
                dataset,
                found=f"no sample in split {split}",
                expected="some",
                mend="give the study more images",
            )
    reconstructions = {out.as_posix(): _reconstruction(sae, loaded) for out, sae in saes.items()}
    mean, mean_tokens, limit = mean_activation(loaded, site, batches(loaded, train, images, batch), roles)
    edits: dict[str, Replacement] = {
        "identity": lambda x: x,
        "zero": torch.zeros_like,
        "mean": lambda x: mean.to(x.dtype).to(x.device).expand_as(x),
        **reconstructions,
    }
    # Logits over a large vocabulary are freed and asked for again by the gigabyte.
    with memory_kept():
        losses, largest, replaced, spared = run_edits(loaded, site, test, images, batch, roles, edits, limit)
        # settings are compared by these; the identity was proven above
        chosen = {name: fn for name, fn in edits.items() if name != "identity"}
        others, *_ = run_edits(loaded, site, select, images, batch, roles, chosen, limit)
    for out, sae in saes.items():
        own, by_select = (
            table.rename(columns=lambda name, out=out: name.replace(f"_{out.as_posix()}", "_spliced"))
            for table in (losses, others)
        )
        moved = largest | {"spliced": largest[out.as_posix()]}
        check_edits(moved["identity"], moved["zero"])
        write_json(
            out,
            "spliced",
            {
                "site": site,
                "sae": sae_digest(sae),
                "roles_replaced": list(roles),
                "counted": "positions that predict a token of the caption, or of what the model wrote",
                "split": "test",
                "samples": len(test),
                "images": int(test["image_id"].nunique()),
                "tokens": int(losses["tokens"].sum()),
                "tokens_replaced": replaced,
                "sinks": spared,
                "mean_ablation": {"mean_over": "train", "samples": len(train), "tokens": mean_tokens},
                "seed": seed,
                "bootstrap": {
                    "unit": "image",
                    "draws": BOOTSTRAP,
                    "interval_percent": 100 * INTERVAL,
                },
                **summarise(own, seed),
                "select": {
                    "samples": len(select),
                    "tokens": int(others["tokens"].sum()),
                    "ce_recovered": {
                        name: found["value"]
                        for name, found in summarise(by_select, seed)["ce_recovered"].items()
                    },
                },
                "identity": {"max_abs_logit_difference": moved["identity"]},
                "largest_logit_difference": {name: moved[name] for name in EDITS},
            },
        )


def _reconstruction(folder: Path, loaded: LoadedModel) -> Replacement:
    autoencoder = load_sae(folder)
    check_width(autoencoder, loaded.d_model, folder)
    return partial(reconstruct, autoencoder.to(loaded.device))


def choose(frame: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """At most `count` rows, spread evenly over gender x category and over images, drawn by `seed`."""
    shuffled = frame.iloc[np.random.default_rng(seed).permutation(len(frame))]
    caption = shuffled.groupby("image_id", sort=False).cumcount()
    turn = shuffled.groupby(["gender", "category", caption], sort=False).cumcount()
    order = np.lexsort([np.arange(len(shuffled)), turn, caption])
    return shuffled.iloc[order[:count]]


def batches(
    loaded: LoadedModel, frame: pd.DataFrame, images: Path | None, size: int
) -> Iterator[tuple[pd.DataFrame, Batch]]:
    """Rows of `frame` and their inputs with captions, `size` at a time, captions of like length together."""
    ordered = frame.iloc[np.argsort(frame["caption"].str.len().to_numpy(), kind="stable")]
    for start in range(0, len(ordered), size):
        rows = ordered.iloc[start : start + size]
        samples = [as_sample(row) for row in rows.to_dict("records")]
        encoded = encode_samples(loaded, samples, images=images)
        check_lengths(loaded, [sample.sample_id for sample in samples], [len(sample) for sample in encoded])
        yield rows, collate(loaded, encoded, load_images(loaded, samples, images))


def reconstruct(autoencoder: SAE, x: Tensor) -> Tensor:
    """x (P, d) to the reconstruction, computed in float32 where the SAE is, in the dtype and on the device of x."""
    return autoencoder(x.float().to(autoencoder.W_dec.device)).to(x)


def replace_at(
    mask: Tensor, replacement: Replacement, limit: float = torch.inf
) -> Callable[[Tensor], Tensor]:
    """An edit that replaces the positions of `mask` (B, T) whose norm is at most `limit`, on whatever device."""

    def fn(value: Tensor) -> Tensor:
        edited, there = value.clone(), mask.to(value.device) & (norms(value) <= limit)
        edited[there] = replacement(value[there])
        return edited

    return fn


def norms(value: Tensor) -> Tensor:
    """(…) float32 norm of each position of (…, d), as it is stored with activations."""
    return value.float().norm(dim=-1)


def mean_activation(
    loaded: LoadedModel, site: str, inputs: Iterator[tuple[pd.DataFrame, Batch]], roles: Sequence[str]
) -> tuple[Tensor, int, float]:
    """Mean activation (d) float64 on the CPU at `site` over the tokens of `roles` that are no sinks, how many there were, and
    the norm above which a token is a sink."""
    found = []
    for _, batch in inputs:
        with capture(loaded, [site], stop=True) as captured:
            loaded.model(**batch.inputs, use_cache=False)
        found.append(captured[site][batch.has_role(roles).to(captured[site].device)].cpu())
    x = torch.cat(found) if found else torch.zeros(0, loaded.d_model)
    norm = norms(x).numpy()
    limit = SINK_FACTOR * float(np.median(norm)) if len(norm) else np.inf
    kept = x[torch.from_numpy(norm <= limit)].double()
    return kept.sum(dim=0) / max(len(kept), 1), len(kept), limit


class Edited(NamedTuple):
    """What edits of one site cost."""

    losses: pd.DataFrame
    """A row a sample: its `group`, `tokens` that are predicted, and sums over them in nats: `ce_clean`, of each edit but
    `identity` `ce_{edit}` and, where it was asked for, `kl_{edit}`; of those in label words `label_tokens`, `label_ce_clean`
    and `label_ce_{edit}`."""
    largest: dict[str, float]
    """Of each edit: the largest difference that it makes to a logit."""
    replaced: int
    """Positions."""
    sinks: int
    """Positions of the roles that were spared."""


def run_edits(
    loaded: LoadedModel,
    site: str,
    frame: pd.DataFrame,
    images: Path | None,
    size: int,
    roles: Sequence[str],
    edits: dict[str, Replacement],
    limit: float,
    *,
    divergence: bool = True,
    labels: bool = False,
) -> Edited:
    """Each of the edits at the positions of `roles` that are no sinks (norm at most `limit`), a pass each beside the clean one.

    frame: the samples, captions teacher-forced, `size` at a time. divergence: whether to tell KL(clean ‖ edited) as well.
    labels: whether to tell the losses of label words apart as well.
    """
    parts, largest, positions, replaced = [], dict.fromkeys(edits, 0.0), 0, 0
    last = str(len(loaded.adapter.blocks) - 1)
    progress = Progress(f"{len(edits)} edits at site {site}", len(frame), "samples")
    for rows, batch in batches(loaded, frame, images, size):
        predicts = batch.has_role(COUNTED)[:, 1:]
        target = batch.inputs["input_ids"][:, 1:][predicts]
        sample = predicts.nonzero()[:, 0].cpu().numpy()
        mask = batch.has_role(roles)
        positions += int(mask.sum())

        def states(batch: Batch = batch, predicts: Tensor = predicts) -> Tensor:
            with capture(loaded, [last], stop=True) as captured:
                loaded.model(**batch.inputs, use_cache=False)
            return captured[last][:, :-1][predicts.to(captured[last].device)]

        with capture(loaded, [site]) as captured:
            clean = states()
        replaced += int((norms(captured[site])[mask.to(captured[site].device)] <= limit).sum())
        changed = {}
        for name, replacement in edits.items():
            with edit(loaded, site, replace_at(mask, replacement, limit)):
                changed[name] = states()
        found = _losses(loaded, target.to(clean.device), clean, changed, divergence=divergence)
        for name, difference in found.largest.items():
            largest[name] = max(largest[name], difference)
        in_label = (
            label_tokens(rows, batch)[:, 1:].to(predicts.device)[predicts].cpu().numpy() if labels else None
        )
        measured = {
            "group": rows["group" if "group" in rows else "image_id"].to_numpy(),
            "tokens": np.bincount(sample, minlength=len(rows)),
        }
        for name, loss in found.losses.items():
            measured[name] = np.bincount(sample, loss, minlength=len(rows))
            if labels and name.startswith("ce_"):
                measured[f"label_{name}"] = np.bincount(sample, loss * in_label, minlength=len(rows))
        if labels:
            measured["label_tokens"] = np.bincount(sample, in_label, minlength=len(rows))
        parts.append(pd.DataFrame(measured))
        progress.update(len(rows))
    return Edited(pd.concat(parts, ignore_index=True), largest, replaced, positions - replaced)


class _Losses(NamedTuple):
    """Of P predicted tokens."""

    losses: dict[str, np.ndarray]
    """(P) float64 nats each: `ce_clean`, and of each edit but `identity` `ce_{edit}` and `kl_{edit}`."""
    largest: dict[str, float]
    """Of each edit: the largest difference that it makes to a logit."""


def _losses(
    loaded: LoadedModel, target: Tensor, clean: Tensor, changed: dict[str, Tensor], *, divergence: bool
) -> _Losses:
    """Of states (P, d) behind the last block, clean and of each edit, whose logits are made for some tokens at a time: those of
    all would be gigabytes with a vocabulary of 262,144. target: (P) ids."""
    parts, largest = [], dict.fromkeys(changed, 0.0)

    def log_p(states: Tensor) -> tuple[Tensor, Tensor]:
        logits = loaded.adapter.logits(states).float()
        return logits, logits.log_softmax(dim=-1)

    for rows in torch.arange(len(target), device=target.device).split(TOKENS):
        raw, before = log_p(clean[rows])
        part = {"ce_clean": cross_entropy(before, target[rows])}
        for name, states in changed.items():
            logits, after = log_p(states[rows])
            largest[name] = max(largest[name], *(logits - raw).abs().amax(dim=-1).tolist(), 0.0)
            if name != "identity":
                part[f"ce_{name}"] = cross_entropy(after, target[rows])
                if divergence:
                    part[f"kl_{name}"] = kl_divergence(before, after)
        parts.append(pd.DataFrame({name: loss.double().cpu().numpy() for name, loss in part.items()}))
    found = pd.concat(parts, ignore_index=True)
    return _Losses({name: found[name].to_numpy() for name in found}, largest)


def label_tokens(rows: pd.DataFrame, batch: Batch) -> Tensor:
    """(B, T) bool on the CPU: the caption's tokens with a character in one of the row's `label_spans`."""
    start, end = batch.char_start.cpu(), batch.char_end.cpu()
    inside = torch.zeros(start.shape, dtype=torch.bool)
    for row, spans in enumerate(rows["label_spans"]):
        for first, last in json.loads(spans):
            inside[row] |= (start[row] < last) & (end[row] > first)
    return inside & batch.has_role(COUNTED).cpu()


def cross_entropy(log_p: Tensor, target: Tensor) -> Tensor:
    """(P) nats: -log p of the target (P) under log-probabilities (P, V)."""
    return -log_p.gather(1, target[:, None]).squeeze(1)


def kl_divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """(P) nats: KL(p || q) of log-probabilities (P, V)."""
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1)


def check_edits(identity: float, ablation: float) -> None:
    """Raise RuntimeError unless the identity edit changed no logit and an ablation some; each: the largest difference."""
    if identity != 0:
        raise RuntimeError(
            f"replacing the activations by themselves moved a logit by {identity}: "
            "the forward pass does not repeat itself exactly, or the edit is applied wrongly"
        )
    if not ablation > 0:
        raise RuntimeError("ablating moved no logit: the edit does not reach the model")


def recovered(ablated: np.ndarray, spliced: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """(ablated - spliced) / (ablated - clean); NaN where ablating does not raise the loss."""
    cost = np.asarray(ablated - clean, dtype=np.float64)
    return np.divide(ablated - spliced, cost, out=np.full_like(cost, np.nan), where=cost > 0)


def summarise(losses: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Means per predicted token with bootstrap intervals over groups of images.

    losses: a row a sample: `group`, `tokens` and sums over its tokens `ce_clean`, `ce_{edit}`, `kl_{edit}`.
    """
    images = losses.groupby("group", sort=True).sum()
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(images), np.full(len(images), 1 / len(images)), size=BOOTSTRAP)
    weights = np.vstack([np.ones(len(images), dtype=weights.dtype), weights])
    tokens = weights @ images["tokens"].to_numpy(np.float64)
    mean = {
        name: weights @ images[name].to_numpy(np.float64) / tokens
        for name in images.columns
        if name != "tokens"
    }
    ablations = ("zero", "mean")
    return {
        "ce": {name: _interval(mean[f"ce_{name}"], len(images)) for name in ("clean", *EDITS)},
        "kl": {name: _interval(mean[f"kl_{name}"], len(images)) for name in EDITS},
        "ce_recovered": {
            name: _interval(recovered(mean[f"ce_{name}"], mean["ce_spliced"], mean["ce_clean"]), len(images))
            for name in ablations
        },
    }


def _interval(draws: np.ndarray, groups: int) -> dict[str, Any]:
    """The value on all images (the first draw) and its interval of so many groups; None where undefined, as of one group."""
    value, resampled = float(draws[0]), draws[1:]
    defined = groups > 1 and bool(np.isfinite(resampled).all())
    return {
        "value": value if np.isfinite(value) else None,
        "ci": [*resampled_interval(resampled, groups, level=INTERVAL)] if defined else None,
    }
