"""Which features tell female from male pictures: effect sizes, tests, and how many chance would give."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csc_array, csr_array

from crosslens.pooling.images import by_image
from crosslens.pooling.pool import pool_codes
from crosslens.stats.effect_size import cohen_d, hedges_factor, moments
from crosslens.stats.fdr import benjamini_hochberg
from crosslens.stats.resampling import bootstrap_weights, shuffled_labels, stream
from crosslens.stats.two_sample import mann_whitney, rank_columns, welch
from crosslens.tables.codes import Codes
from crosslens.tables.documents import read_table, write_json, write_table
from crosslens.tables.tokens import read_tokens

log = logging.getLogger(__name__)

LIVE_IMAGES = 5
"""A feature is live in a split when it fires in at least so many of the images that are compared."""
TOP = 10
_CELLS = 1 << 22
"""Features × resamples held at once (32 MiB of float64)."""


def _blocks(values: csr_array, resamples: int):
    """(start, stop, csc block) of features, so that features × resamples stays bounded."""
    values = csc_array(values)
    width = max(1, _CELLS // max(resamples, values.shape[0], 1))
    for start in range(0, values.shape[1], width):
        stop = min(start + width, values.shape[1])
        yield start, stop, values[:, start:stop]


def feature_effects(
    values: csr_array,
    female: np.ndarray,
    *,
    alpha: float,
    bootstraps: int,
    permutations: int,
    rng: np.random.Generator,
    live_images: int = LIVE_IMAGES,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Effects of each feature and the null of how many are significant.

    values: (m, F) one row an image, all of known gender; female: (m) bool. Returns a table of F rows
    (feature, n_female, n_male, mean_female, mean_male, d, g, d_low, d_high, u, p_mann_whitney,
    q_mann_whitney, t, p_welch, q_welch, live, significant) and (permutations) int64: the number of
    significant features when the labels are shuffled over the images.

    d: Cohen's d, positive where female is higher; d_low, d_high: 95 % percentile interval, images resampled
    within gender. q: Benjamini–Hochberg over the live features, NaN elsewhere.
    significant: live and q_mann_whitney ≤ alpha.
    """
    female = np.asarray(female, dtype=bool)
    n_female, n_male = int(female.sum()), int((~female).sum())
    features = values.shape[1]
    weights = bootstrap_weights(female, bootstraps, rng)
    shuffled = shuffled_labels(female, permutations, rng)
    columns = {
        name: np.full(features, np.nan)
        for name in ("mean_female", "mean_male", "d", "d_low", "d_high", "u", "t")
        + ("p_mann_whitney", "p_welch")
    }
    live = np.zeros(features, dtype=bool)
    null_p = []
    tested = min(n_female, n_male) >= 2
    for start, stop, block in _blocks(values, max(bootstraps, permutations)):
        block.eliminate_zeros()
        fires = np.diff(block.indptr)
        live[start:stop] = fires >= live_images if tested else False
        if not tested:
            continue
        at = slice(start, stop)
        by_row = csr_array(block)
        first, second = moments(by_row, female), moments(by_row, ~female)
        columns["mean_female"][at], columns["mean_male"][at] = first.mean, second.mean
        columns["d"][at] = cohen_d(first, second)
        columns["d_low"][at], columns["d_high"][at] = _interval(by_row, female, weights)
        ranks = rank_columns(block)
        columns["u"][at], columns["p_mann_whitney"][at] = mann_whitney(ranks, female)
        columns["t"][at], columns["p_welch"][at] = welch(first, second)
        if permutations:
            null_p.append(mann_whitney(ranks, shuffled).p[live[at]])
    table = pd.DataFrame({"feature": np.arange(features, dtype=np.int64)})
    table["n_female"], table["n_male"] = n_female, n_male
    for name, column in columns.items():
        table[name] = column
    # a feature that fires nowhere has no difference to standardise
    dead = np.diff(csc_array(values).indptr) == 0
    table.loc[dead, ["d", "d_low", "d_high"]] = np.nan
    table["g"] = table["d"] * hedges_factor(n_female, n_male)
    for test in ("mann_whitney", "welch"):
        q = np.full(features, np.nan)
        q[live] = benjamini_hochberg(table[f"p_{test}"].to_numpy()[live])
        table[f"q_{test}"] = q
    table["live"] = live
    table["significant"] = live & (np.nan_to_num(table["q_mann_whitney"].to_numpy(), nan=1.0) <= alpha)
    if null_p:
        null = (benjamini_hochberg(np.concatenate(null_p)) <= alpha).sum(axis=0)
    else:
        null = np.zeros(permutations, dtype=np.int64)
    return table[COLUMNS], null


COLUMNS = [
    *("feature", "n_female", "n_male", "mean_female", "mean_male", "d", "g", "d_low", "d_high"),
    *("u", "p_mann_whitney", "q_mann_whitney", "t", "p_welch", "q_welch", "live", "significant"),
]


def _interval(values: csr_array, female: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """2.5 % and 97.5 % quantiles of d over the resamples; undefined resamples are left out."""
    if weights.shape[1] == 0:
        return np.full(values.shape[1], np.nan), np.full(values.shape[1], np.nan)
    d = cohen_d(
        moments(values[np.flatnonzero(female)], weights[female]),
        moments(values[np.flatnonzero(~female)], weights[~female]),
    )
    undefined = np.isnan(d)
    if not undefined.any():
        low, high = np.quantile(d, [0.025, 0.975], axis=1)
        return low, high
    low, high = np.full(len(d), np.nan), np.full(len(d), np.nan)
    defined = ~undefined.all(axis=1)
    low[defined], high[defined] = np.nanquantile(d[defined], [0.025, 0.975], axis=1)
    return low, high


def gender_effects(
    *,
    dataset: Path,
    tokens: list[Path],
    codes: Path,
    conditions: list[str],
    alpha: float,
    bootstraps: int,
    permutations: int,
    seed: int,
    language: str,
    out_table: Path,
    out: Path,
) -> None:
    """Effects per feature, condition and split, and the features that stand out.

    Writes `out_table` (kind gender_effects: one row per condition, split and feature) and `out` (kind
    gender). Features are chosen on `select`, every number of a chosen feature is from `test`.
    """
    samples = read_table(dataset, "dataset")
    table, stored = read_tokens(tokens), Codes(codes)
    tables, summary = [], {}
    for condition in conditions:
        effects, nulls, counts = {}, {}, {}
        for split in ("select", "test"):
            part = samples[samples["split"] == split]
            pooled = pool_codes(stored, table, part, condition=condition)
            images = by_image(pooled.values, pooled.sample_ids, part)
            counts[split] = images.counts() | {"dropped_samples": len(pooled.dropped)}
            labelled = images.labelled()
            effects[split], nulls[split] = feature_effects(
                labelled.values,
                labelled.gender == "female",
                alpha=alpha,
                bootstraps=bootstraps,
                permutations=permutations if split == "test" else 0,
                rng=stream(seed, "gender", language, condition, split),
            )
            effects[split].insert(1, "condition", condition)
            effects[split].insert(2, "split", split)
        tables += [effects["select"], effects["test"]]
        summary[condition] = _summary(effects["select"], effects["test"], nulls["test"], counts)
        log.info(
            "%s: %d of %d live features significant on test, %.1f by chance",
            condition,
            summary[condition]["significant"],
            summary[condition]["live"],
            summary[condition]["null"]["mean"] or 0.0,
        )
    write_table(out_table, "gender_effects", pd.concat(tables, ignore_index=True))
    document: dict[str, Any] = {
        "language": language,
        "site": stored.attributes.get("site"),
        "sae": stored.attributes.get("sae"),
        "d_sae": stored.d_sae,
        "alpha": alpha,
        "bootstraps": bootstraps,
        "permutations": permutations,
        "seed": seed,
        "live_images": LIVE_IMAGES,
        "unit": "image",
        "test": "Mann-Whitney U, two-sided, tie-corrected",
        "family": "all live features of one condition and split",
        "sign": "positive d: higher for female",
        "conditions": summary,
    }
    write_json(out, "gender", document)


def _summary(
    select: pd.DataFrame, test: pd.DataFrame, null: np.ndarray, images: dict[str, dict[str, int]]
) -> dict[str, Any]:
    significant = int(test["significant"].sum())
    document = {
        "images": images,
        "live": int(test["live"].sum()),
        "significant": significant,
        "null": null_summary(null, significant),
        "select": {"live": int(select["live"].sum()), "significant": int(select["significant"].sum())},
        "confirmed": int((select["significant"] & test["significant"]).sum()),
    }
    for gender, sign in (("female", 1), ("male", -1)):
        chosen = select[select["significant"] & (sign * select["d"] > 0)]
        order = np.lexsort((chosen["feature"], -sign * chosen["d"]))[:TOP]
        document[f"top_{gender}"] = [
            {"feature": int(feature), "d_select": float(d), **_numbers(test.iloc[int(feature)])}
            for feature, d in zip(chosen["feature"].iloc[order], chosen["d"].iloc[order], strict=True)
        ]
    return document


def null_summary(null: np.ndarray, observed: float) -> dict[str, float | None]:
    """Mean and quantiles of a count under permutation, and p = (1 + #{null ≥ observed}) / (1 + permutations)."""
    if not len(null):
        return {"mean": None, "q50": None, "q95": None, "max": None, "p": None}
    return {
        "mean": float(null.mean()),
        "q50": float(np.quantile(null, 0.5)),
        "q95": float(np.quantile(null, 0.95)),
        "max": float(null.max()),
        "p": float((1 + np.sum(null >= observed)) / (1 + len(null))),
    }


def _numbers(row: pd.Series) -> dict[str, Any]:
    """The test numbers of one feature, None where undefined."""
    names = ("mean_female", "mean_male", "d", "g", "d_low", "d_high", "p_mann_whitney", "q_mann_whitney")
    shown = {name: float(row[name]) if np.isfinite(row[name]) else None for name in names}
    return shown | {"live": bool(row["live"]), "significant": bool(row["significant"])}
