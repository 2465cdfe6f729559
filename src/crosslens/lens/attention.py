"""Where do the heads of a model look? Scores of every head over texts of a language, and the patterns of a few of these."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from crosslens.features.splice import batches, choose
from crosslens.generation.continuation import encode_samples
from crosslens.lens.patterns import (
    SCORES,
    Rows,
    attentive,
    induction,
    own_pattern,
    queries,
    rows_of,
    scores,
    watching,
)
from crosslens.lens.summary import Bounded, mean_columns
from crosslens.models.inputs import Encoded, as_sample, collate
from crosslens.models.load import LoadedModel, load_model
from crosslens.progress import Progress
from crosslens.stats.resampling import stream
from crosslens.tables.documents import read_table, write_json, write_table
from crosslens.tables.roles import BOS, CAPTION, GENERATED, IMAGE, ROLES

log = logging.getLogger(__name__)

LENGTH, SEQUENCES = 24, 8
"""Random tokens of a sequence that is said twice, and such sequences."""
MEASURED = (*SCORES, "kept")
"""kept: weight that is stored of a query's, a mean."""


class Kept(NamedTuple):
    """What is stored of patterns."""

    patterns: list[pd.DataFrame]
    """sample_id, layer, head, query, key, weight: of text queries, weights of the threshold or more."""
    images: list[pd.DataFrame]
    """sample_id, layer, head, place, weight: mean over the caption's tokens of their weight on each image token, all of them."""


def measure_attention(
    *,
    model: dict[str, Any],
    dataset: Path,
    images: Path | None,
    language: str,
    samples: int,
    shown: int,
    threshold: float,
    batch: int,
    bootstraps: int,
    seed: int,
    out: Path,
) -> None:
    """Write `attention.json` (kind attention), `heads.parquet` (kind attention_heads, a row a head and score), `patterns.parquet`
    (kind attention_patterns) and `images.parquet` (kind attention_images) to the folder `out`.

    model: keyword arguments of load_model; attention is computed eagerly, whatever they say. Of at most `samples` test samples;
    the first `shown` of them are stored, weights of `threshold` or more.
    """
    loaded = load_model(**model | {"attention": "eager"})
    frame = read_table(dataset, "dataset")
    rows = choose(frame[frame["split"] == "test"], samples, seed)
    rng = stream(seed, "attention", language)
    stored = rows.head(shown)["sample_id"].tolist()
    values, groups, kept = _measured(loaded, rows, images, batch, stored, threshold)
    repeated, ids = _repeated(loaded, rows, images, rng)
    out.mkdir(parents=True, exist_ok=True)
    write_table(
        out / "heads.parquet",
        "attention_heads",
        _heads(attentive(loaded), values, groups, repeated, bootstraps, rng),
    )
    patterns = {"layer": "int64", "head": "int64", "weight": "float32"}
    write_table(
        out / "patterns.parquet",
        "attention_patterns",
        _joined(kept.patterns, {"sample_id": "str", **patterns, "query": "int64", "key": "int64"}),
    )
    write_table(
        out / "images.parquet",
        "attention_images",
        _joined(kept.images, {"sample_id": "str", **patterns, "place": "int64"}),
    )
    layers = attentive(loaded)
    write_json(
        out / "attention.json",
        "attention",
        {
            "language": language,
            "layers": layers,
            "not_available": sorted({*range(loaded.n_layers)} - {*layers}),
            "heads": int(values.shape[2]) if len(values) else 0,
            "split": "test",
            "samples": len(rows),
            "groups": len({*groups}),
            "bootstraps": bootstraps,
            "seed": seed,
            "threshold": threshold,
            "repeated": {"tokens": LENGTH, "sequences": SEQUENCES, "vocabulary": ids},
            "shown": _shown(loaded, rows.head(shown), images),
        },
    )


@torch.inference_mode()
def _measured(
    loaded: LoadedModel,
    rows: pd.DataFrame,
    images: Path | None,
    batch: int,
    stored: Sequence[str],
    threshold: float,
) -> tuple[np.ndarray, list[str], Kept]:
    """(n, attentive blocks, H, MEASURED) float64, the group of each sample, and what is stored of `stored`."""
    layers = {layer: i for i, layer in enumerate(attentive(loaded))}
    found, groups, kept = [], [], Kept([], [])
    progress = Progress("attention", len(rows), "samples")
    for part, inputs in batches(loaded, rows, images, batch):
        own = rows_of(inputs)
        names = part["sample_id"].tolist()
        values: list[list[Tensor]] = [[None] * len(layers) for _ in own]

        def read(layer: int, weights: Tensor, own=own, names=names, values=values) -> None:
            for row, (name, of) in enumerate(zip(names, own, strict=True)):
                pattern = own_pattern(weights, row, of)
                asked = queries(of.role).to(pattern.device)
                large = (pattern >= threshold) & asked[None, :, None]
                share = torch.where(large, pattern, 0).sum(dim=(1, 2)) / asked.sum()
                values[row][layers[layer]] = torch.cat([scores(pattern, of.role), share[None]]).double().cpu()
                if name in stored:
                    kept.patterns.append(_sparse(name, layer, pattern, large))
                    if (of.role == IMAGE).any():
                        kept.images.append(_on_image(name, layer, pattern, of))

        with watching(loaded, read):
            loaded.model(**inputs.inputs, use_cache=False)
        found += [torch.stack(of).permute(0, 2, 1).numpy() for of in values]
        groups += part["group" if "group" in part else "image_id"].astype(str).tolist()
        progress.update(len(part))
    return np.array(found), groups, kept


def _sparse(name: str, layer: int, pattern: Tensor, large: Tensor) -> pd.DataFrame:
    head, query, key = (of.cpu().numpy() for of in torch.nonzero(large, as_tuple=True))
    weight = pattern[large].cpu().numpy()
    return pd.DataFrame(
        {"sample_id": name, "layer": layer, "head": head, "query": query, "key": key, "weight": weight}
    )


def _on_image(name: str, layer: int, pattern: Tensor, of: Rows) -> pd.DataFrame:
    caption = torch.isin(
        of.role, torch.tensor([CAPTION, GENERATED], dtype=of.role.dtype, device=of.role.device)
    )
    weight = pattern[:, caption.to(pattern.device)].mean(dim=1)[:, (of.role == IMAGE).to(pattern.device)]
    heads, places = weight.shape
    return pd.DataFrame(
        {
            "sample_id": name,
            "layer": layer,
            "head": np.repeat(np.arange(heads), places),
            "place": np.tile(np.arange(places), heads),
            "weight": weight.cpu().numpy().ravel(),
        }
    )


def _joined(parts: list[pd.DataFrame], columns: dict[str, str]) -> pd.DataFrame:
    whole = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*columns])
    order = [
        name for name in ("sample_id", "layer", "head", "query", "key", "place", "weight") if name in columns
    ]
    return whole.astype(columns)[order]


@torch.inference_mode()
def _repeated(
    loaded: LoadedModel, rows: pd.DataFrame, images: Path | None, rng: np.random.Generator
) -> tuple[np.ndarray, int]:
    """(SEQUENCES, attentive blocks, H) `induction` on tokens drawn from the language's captions, and of how many kinds."""
    encoded = encode_samples(loaded, [as_sample(row) for row in rows.to_dict("records")], images=images)
    known = np.unique(
        np.concatenate([one.token_id[np.isin(one.role, (CAPTION, GENERATED))] for one in encoded])
    )
    begin = encoded[0].token_id[encoded[0].role == BOS][:1]
    sequences = []
    for _ in range(SEQUENCES):
        drawn = rng.choice(known, LENGTH)
        ids = np.concatenate([begin, drawn, drawn]).astype(np.int32)
        role = np.full(len(ids), CAPTION, dtype=np.uint8)
        role[: len(begin)] = BOS
        none = np.full(len(ids), -1, dtype=np.int32)
        sequences.append(Encoded(ids, role, none, none))
    batch = collate(loaded, sequences, [])
    found: list[Tensor] = []

    def read(layer: int, weights: Tensor) -> None:
        own = [own_pattern(weights, row, of) for row, of in enumerate(rows_of(batch))]
        found.append(torch.stack([induction(of, LENGTH) for of in own]).double().cpu())

    with watching(loaded, read):
        loaded.model(**batch.inputs, use_cache=False)
    return torch.stack(found, dim=1).numpy(), len(known)


def _heads(
    layers: list[int],
    values: np.ndarray,
    groups: list[str],
    repeated: np.ndarray,
    bootstraps: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """A row a block, head and score, with bounds over groups, or over sequences for induction."""
    found = []
    measured = [(name, values[..., i], np.array(groups)) for i, name in enumerate(MEASURED)]
    measured.append(("induction", repeated, np.arange(len(repeated)).astype(str)))
    for name, of, units in measured:
        there = np.isfinite(of).all(axis=(1, 2))
        flat = of[there].reshape(-1, math.prod(of.shape[1:]))
        means: list[Bounded] = mean_columns(flat, units[there], bootstraps, rng)
        places = np.ndindex(of.shape[1:])
        found += [
            {"layer": layers[i], "head": head, "score": name, **one}
            for (i, head), one in zip(places, means, strict=True)
        ]
    columns = {"layer": "int64", "head": "int64", "score": "str"} | dict.fromkeys(
        ("value", "low", "high"), "float64"
    )
    return pd.DataFrame(found, columns=[*columns]).astype(columns)


def _shown(loaded: LoadedModel, rows: pd.DataFrame, images: Path | None) -> list[dict[str, Any]]:
    """The samples whose patterns are stored, token by token."""
    samples = rows.to_dict("records")
    encoded = encode_samples(loaded, [as_sample(row) for row in samples], images=images) if samples else []
    return [
        {
            **{
                name: row.get(name) or ""
                for name in ("sample_id", "prompt", "caption", "image", "image_sha256")
            },
            "tokens": [
                {"role": ROLES[role], "char_start": int(start), "char_end": int(end)}
                for role, start, end in zip(one.role, one.char_start, one.char_end, strict=True)
            ],
        }
        for row, one in zip(samples, encoded, strict=True)
    ]
