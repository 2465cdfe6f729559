"""How many bits of gender a feature tells, whatever the shape of what it does: mutual information against shuffled labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from crosslens.pooling.images import ImageTable, by_split
from crosslens.pooling.pool import pool_codes
from crosslens.stats.resampling import arrangements, shuffled_labels, stream
from crosslens.stats.tested import permutation_floor
from crosslens.tables.codes import Codes
from crosslens.tables.documents import read_table, write_json
from crosslens.tables.tokens import read_tokens

LEVELS = 3
"""Bins of the values of images in which a feature fires, with as many images each; silence is a bin of its own."""
LIVE = 5
"""Images (units) in which a feature must fire."""
TOP = 10
BLOCK = 1024
"""Features at a time."""
QUANTILE = 0.95


def gender_information(
    *,
    dataset: Path,
    tokens: Sequence[Path],
    codes: Path,
    conditions: Sequence[str],
    permutations: int,
    seed: int,
    out: Path,
) -> None:
    """Write JSON of kind `information`: mutual information of gender and each feature of an SAE in one language.

    Of units as in gender.effects (images, or those of one group and gender), on split test; features shown are chosen on
    select. Tested family-wise: a feature stands out where it tells more than the QUANTILE of what the best of all live features
    tells under shuffled labels.
    """
    store, table, frame = Codes(codes), read_tokens(tokens), read_table(dataset, "dataset")
    frame = frame[frame["split"].isin(["select", "test"])]
    document = {
        "language": store.attributes["language"],
        "site": store.attributes["site"],
        "sae": store.attributes["sae"],
        "d_sae": store.d_sae,
        **{"permutations": permutations, "seed": seed, "levels": LEVELS, "live_units": LIVE},
        "conditions": {},
    }
    for condition in conditions:
        pooled = pool_codes(store, table, frame, condition=condition)
        halves = by_split(pooled.values, pooled.sample_ids, frame, ("select", "test"))
        halves = {name: images.labelled().by_group() for name, images in halves.items()}
        rng = stream(seed, "geometry", "information", condition)
        document["conditions"][condition] = _condition(halves, permutations, rng)
    write_json(out, "information", document)


def _condition(halves: dict[str, ImageTable], permutations: int, rng: np.random.Generator) -> dict[str, Any]:
    test = halves["test"]
    units = test.units()
    document: dict[str, Any] = {"units": units}
    told = dict.fromkeys(("gender_bits", "live", "above", "p", "least_p", "sum", "strongest", "null"))
    if min(units["female"], units["male"]) < LIVE:
        because = (
            f"there are {units['female']} female and {units['male']} male units; {LIVE} of each are needed"
        )
        return document | {"tested": False, "because": because, **told, "top": []}
    female = test.gender == "female"
    live = _live(test.values)
    labels = np.column_stack([female, shuffled_labels(female, permutations, rng, test.group)])
    found = information(test.values[:, live], labels)
    largest = found.max(axis=0) if len(live) else np.zeros(labels.shape[1])
    totals = found.sum(axis=0)
    bound = float(np.quantile(largest[1:], QUANTILE))
    mi = np.full(test.values.shape[1], np.nan)
    mi[live] = found[:, 0]
    return document | {
        "tested": True,
        "because": None,
        "gender_bits": float(entropy(np.array([female.mean()]))[0]),
        "live": len(live),
        "above": int((found[:, 0] > bound).sum()),
        "p": float((1 + (largest[1:] >= largest[0]).sum()) / (1 + permutations)),
        "least_p": permutation_floor(
            permutations, arrangements=arrangements(female, test.group, mirror=~female)
        ),
        "sum": float(totals[0]),
        "strongest": float(largest[0]),
        "null": {
            "strongest_mean": float(largest[1:].mean()),
            "strongest_q95": bound,
            "sum_mean": float(totals[1:].mean()),
            "sum_q95": float(np.quantile(totals[1:], QUANTILE)),
            "sum_p": float((1 + (totals[1:] >= totals[0]).sum()) / (1 + permutations)),
        },
        "top": _top(halves["select"], mi, largest[1:]),
    }


def _top(select: ImageTable, mi: np.ndarray, largest: np.ndarray) -> list[dict[str, Any]]:
    """The features that tell most on select, with their bits on test and p against the best under shuffled labels."""
    female = select.gender == "female"
    live = _live(select.values) if 0 < female.sum() < len(female) else np.array([], dtype=np.int64)
    chosen = information(select.values[:, live], female[:, None])[:, 0]
    best = np.argsort(-chosen, kind="stable")[:TOP]
    return [
        {
            "feature": int(feature),
            "bits_select": float(bits),
            "bits": None if np.isnan(mi[feature]) else float(mi[feature]),
            "p": None
            if np.isnan(mi[feature])
            else float((1 + (largest >= mi[feature]).sum()) / (1 + len(largest))),
        }
        for feature, bits in zip(live[best], chosen[best], strict=True)
    ]


def _live(values: csr_array) -> np.ndarray:
    """Ids of the features that fire in at least LIVE units."""
    return np.flatnonzero(csr_array(values > 0).sum(axis=0) >= LIVE)


def information(values: csr_array, labels: np.ndarray) -> np.ndarray:
    """(F, draws) bits that each feature tells of a label, less the bias of Miller and Madow (1955); it may be below 0.

    values: (n, F) ≥ 0; labels: (n, draws) bool. `I = H(label) − Σ_b n_b / n H(label | b)` over the bins b of a feature: silence,
    and LEVELS bins of its positive values with as many units each (ties together). Corrected by
    `(K_fb − K_f − K_b + 1) / (2 n ln 2)`, K the numbers of bins, labels and pairs of both that occur.
    """
    values, n, draws = values.tocsc(), len(labels), labels.shape[1]
    share = labels.mean(axis=0)
    kinds = 1 + ((share > 0) & (share < 1))
    whole, found = entropy(share), np.zeros((values.shape[1], draws))
    one_hot = labels.astype(np.float64)
    for start in range(0, values.shape[1], BLOCK):
        block = values[:, start : start + BLOCK]
        width = block.shape[1]
        cells = csr_array(_cells(block))
        size = np.asarray(cells.sum(axis=0)).reshape(width, LEVELS)
        inside = (cells.T @ one_hot).reshape(width, LEVELS, draws)
        silent = n - size.sum(axis=1)
        size = np.concatenate([silent[:, None], size], axis=1)
        inside = np.concatenate([one_hot.sum(axis=0) - inside.sum(axis=1, keepdims=True), inside], axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            rest = np.nan_to_num(entropy(inside / size[:, :, None])) * size[:, :, None] / n
        pairs = ((inside > 0).sum(axis=1) + (inside < size[:, :, None]).sum(axis=1)).astype(np.float64)
        bins = (size > 0).sum(axis=1)[:, None]
        bias = (pairs - bins - kinds + 1) / (2 * n * np.log(2))
        found[start : start + width] = whole - rest.sum(axis=1) - bias
    return found


def _cells(values: csr_array) -> csr_array:
    """(n, F · LEVELS): 1 in the bin of each positive value."""
    values = values.tocsc()
    rows, columns = [], []
    for feature in range(values.shape[1]):
        inside = slice(values.indptr[feature], values.indptr[feature + 1])
        own, at = values.data[inside], values.indices[inside]
        at, own = at[own > 0], own[own > 0]
        edges = np.quantile(own, np.arange(1, LEVELS) / LEVELS) if len(own) else np.empty(0)
        rows.append(at)
        columns.append(feature * LEVELS + np.searchsorted(edges, own, side="left"))
    rows, columns = np.concatenate(rows), np.concatenate(columns)
    return csr_array((np.ones(len(rows)), (rows, columns)), shape=(values.shape[0], values.shape[1] * LEVELS))


def entropy(share: np.ndarray) -> np.ndarray:
    """Bits of a label that has this share; NaN of NaN."""
    with np.errstate(invalid="ignore", divide="ignore"):
        terms = [np.where(p > 0, p * np.log2(p), 0.0 * p) for p in (share, 1 - share)]
    return -(terms[0] + terms[1])
