"""Concept search: features that are stronger in texts that the user lists than in all others."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from crosslens.errors import InputError
from crosslens.pooling.images import ImageTable, by_split
from crosslens.pooling.pool import pool_codes
from crosslens.stats.fdr import benjamini_hochberg
from crosslens.stats.resampling import shuffled_labels, stream
from crosslens.tables.codes import Codes
from crosslens.tables.documents import read_table, write_json
from crosslens.tables.tokens import read_tokens

TOP = 10
FEWEST = 2
"""Listed images, and others, in each half."""


def search_concepts(
    *,
    dataset: Path,
    tokens: Sequence[Path],
    codes: Path,
    concepts: dict[str, list[str]],
    condition: str,
    permutations: int = 10_000,
    seed: int = 0,
    out: Path,
) -> None:
    """Write JSON of kind `concepts`: for each list of image ids the features that tell it from the rest.

    Images' mean activations over the tokens of `condition`, none masked. The TOP features of the largest score on select, the
    mean inside less the mean outside (so that how often and how strongly it fires both count), with their numbers on test
    and a one-sided p of that score with the list shuffled over groups of images; q: over the features of a list. Raises
    InputError for an id that the dataset has not.
    """
    store, table, frame = Codes(codes), read_tokens(tokens), read_table(dataset, "dataset")
    known = set(frame["image_id"])
    for name, ids in concepts.items():
        if absent := [image_id for image_id in ids if image_id not in known]:
            raise InputError(
                f"concepts.{name}",
                found=absent[0],
                expected=f"image_ids of the study, such as {min(known)}",
                mend="correct the list",
            )
    frame = frame[frame["split"].isin(["select", "test"])]
    pooled = pool_codes(store, table, frame, condition=condition, mask_labels=False)
    halves = by_split(pooled.values, pooled.sample_ids, frame, ("select", "test"))
    document = {
        "language": store.attributes["language"],
        "site": store.attributes["site"],
        "sae": store.attributes["sae"],
        "condition": condition,
        "permutations": permutations,
        "seed": seed,
        "concepts": [
            {"concept": name, **_concept(halves, ids, permutations, stream(seed, "concepts", name))}
            for name, ids in concepts.items()
        ],
    }
    write_json(out, "concepts", document)


def _concept(
    halves: dict[str, ImageTable], ids: list[str], permutations: int, rng: np.random.Generator
) -> dict[str, Any]:
    inside = {half: np.isin(images.image_ids.astype(str), ids) for half, images in halves.items()}
    document: dict[str, Any] = {
        "inside": {half: int(rows.sum()) for half, rows in inside.items()},
        "outside": {half: int((~rows).sum()) for half, rows in inside.items()},
    }
    if any(min(rows.sum(), (~rows).sum()) < FEWEST for rows in inside.values()):
        because = f"{document['inside']['select']} listed in select and {document['inside']['test']} in test"
        return document | {
            "because": f"{because}; {FEWEST} of each, and of others, are needed",
            "features": [],
        }
    chosen = score(halves["select"].values, inside["select"][:, None])[:, 0]
    top = np.argsort(-chosen, kind="stable")[:TOP]
    top = top[chosen[top] > 0]
    values, rows = csr_array(halves["test"].values[:, top]), inside["test"]
    found = score(values, rows[:, None])[:, 0]
    null = score(values, shuffled_labels(rows, permutations, rng, halves["test"].group))
    p = (1 + (null >= found[:, None] - 1e-12).sum(axis=1)) / (1 + permutations)
    shares = {name: _share(values, at) for name, at in (("inside", rows), ("outside", ~rows))}
    return document | {
        "because": None,
        "features": [
            {"feature": int(feature), "score_select": float(chosen[feature]), "score": float(found[i])}
            | {f"share_{name}": float(share[i]) for name, share in shares.items()}
            | {"p": float(p[i]), "q": float(q)}
            for (i, feature), q in zip(enumerate(top), benjamini_hochberg(p), strict=True)
        ],
    }


def score(values: csr_array, inside: np.ndarray) -> np.ndarray:
    """(F, draws): mean of values (n, F) over the rows inside (n, draws) bool less the mean over the others; NaN of neither."""
    weights = inside.astype(np.float64)
    number = weights.sum(axis=0)
    sums, whole = values.T @ weights, np.asarray(values.sum(axis=0))[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums / number - (whole - sums) / (len(inside) - number)


def _share(values: csr_array, rows: np.ndarray) -> np.ndarray:
    """(F): share of the rows in which each feature fires."""
    return np.asarray(csr_array(values[np.flatnonzero(rows)] > 0).sum(axis=0)) / rows.sum()
