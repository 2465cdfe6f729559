"""Every image in every language as a point: maps of what was pooled, and whether neighbours share what is coloured."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crosslens.geometry.maps import NEIGHBOURS, maps
from crosslens.geometry.neighbours import nearest, shared_labels
from crosslens.pooling.images import by_image
from crosslens.pooling.languages import described, open_languages
from crosslens.pooling.pool import pool_activations
from crosslens.stats.nulls import null_band
from crosslens.stats.resampling import arrangements, shuffled_labels, stream, units
from crosslens.tables.documents import read_table, write_json, write_table
from crosslens.tables.tokens import read_tokens

LABELS = ("gender", "language", "category")
NULL = ("mean", "q025", "q975", "p", "least_p")
NO_LABEL = {"gender": ("unknown", "contradictory"), "language": (), "category": ("",)}


def embed_samples(
    *,
    datasets: dict[str, Path],
    tokens: dict[str, list[Path]],
    activations: dict[str, list[Path]],
    condition: str,
    methods: Sequence[str],
    images: int,
    perplexity: float,
    permutations: int,
    seed: int,
    out_table: Path,
    out: Path,
) -> None:
    """Maps of the images' mean activations at one site, all languages together.

    A point is an image in a language: the mean over its samples of the mean over the tokens of `condition`, label words and
    sinks left out. All splits: nothing is fitted to a label. Of more than `images` images as many are drawn by `seed`.

    out_table: parquet of kind `sample_embedding`, one row a point, with x and y of each method. out: JSON of kind
    `sample_map`: trustworthiness, and for each label the share of a point's nearest neighbours (of other groups) that have
    its label, among the activations and in each map, beside the same with the labels shuffled over groups (languages:
    within images). Raises InputError for activations of different sites and for fewer points than a map needs.
    """
    stored = open_languages(datasets, tokens, activations)
    chosen = _chosen(
        {language: read_table(path, "dataset") for language, path in datasets.items()}, images, seed
    )
    points, values, dropped = [], [], 0
    for language, frame in chosen.items():
        pooled = pool_activations(stored[language], read_tokens(tokens[language]), frame, condition=condition)
        dropped += len(pooled.dropped)
        table = by_image(pooled.values, pooled.sample_ids, frame)
        values.append(table.values)
        points.append(
            pd.DataFrame(
                {"image_id": table.image_ids, "group": table.group, "language": language}
                | {name: getattr(table, name) for name in ("gender", "category")}
            )
        )
    table, x = pd.concat(points, ignore_index=True), np.concatenate(values)
    found = maps(x, methods, perplexity=perplexity, seed=seed)
    found.placed(table)
    write_table(out_table, "sample_embedding", table.drop(columns="group"))
    spaces = {"activations": x, **found.shown}
    document = {
        **described(stored),
        "condition": condition,
        "images": len(set(table["image_id"])),
        "points": len(table),
        "dropped_samples": dropped,
        "seed": seed,
        **found.described(),
        "permutations": permutations,
        "labels": [
            {"label": label, "space": space, **_alike(points_of, table, label, permutations, seed)}
            for label in LABELS
            for space, points_of in spaces.items()
        ],
    }
    write_json(out, "sample_map", document)


def _chosen(datasets: dict[str, pd.DataFrame], images: int, seed: int) -> dict[str, pd.DataFrame]:
    """The rows of at most that many images, the same in every language."""
    ids = sorted(set.union(*(set(frame["image_id"]) for frame in datasets.values())))
    if len(ids) > images:
        ids = stream(seed, "embeddings", "images").choice(ids, images, replace=False).tolist()
    return {language: frame[frame["image_id"].isin(ids)] for language, frame in datasets.items()}


def _alike(x: np.ndarray, table: pd.DataFrame, label: str, permutations: int, seed: int) -> dict[str, Any]:
    """Share of neighbours with the same label among the points that have one, and under shuffled labels."""
    having = np.flatnonzero(~table[label].isin(NO_LABEL[label]).to_numpy())
    labels = pd.factorize(table[label].to_numpy()[having], sort=True)[0]
    document = {"points": len(having), "values": len(set(labels.tolist()))}
    groups = units(len(having), table["group"].to_numpy(dtype=object)[having])
    near = (
        nearest(x[having], min(NEIGHBOURS, max(1, (len(having) - 1) // 2)), groups) if len(having) else None
    )
    if document["values"] < 2 or not (near >= 0).any():
        return document | dict.fromkeys(("share", *NULL))
    share = float(shared_labels(near, labels[:, None])[0])
    shuffled = shuffled_labels(labels, permutations, stream(seed, "embeddings", label), groups)
    ways = arrangements(labels, groups)
    band = null_band(shared_labels(near, shuffled), share, tails=1, arrangements=ways)
    return document | {"share": share} | {name: band[name] for name in NULL}
