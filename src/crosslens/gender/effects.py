"""Which features tell female from male pictures: effect sizes, tests, and how many chance would give."""

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csc_array, csr_array

from crosslens.pooling.images import by_image
from crosslens.pooling.pool import pool_codes
from crosslens.stats.auroc import areas
from crosslens.stats.effect_size import cohen_d, cohen_d_interval, hedges_factor, moments
from crosslens.stats.fdr import benjamini_hochberg
from crosslens.stats.rank_test import RankTest, design_of
from crosslens.stats.resampling import arrangements, shuffled_labels, stream
from crosslens.stats.tested import permutation_floor, tested, too_few_permutations, too_few_units
from crosslens.stats.welch import welch
from crosslens.tables.codes import Codes
from crosslens.tables.documents import read_table, write_json, write_table
from crosslens.tables.tokens import read_tokens

log = logging.getLogger(__name__)

LIVE_UNITS = 5
"""A feature is live in a split when it fires in at least so many of the units that are compared."""
TOP = 10
_CELLS = 1 << 22
"""Features × resamples held at once (32 MiB of float64)."""


COLUMNS = [
    *("feature", "n_female", "n_male", "mean_female", "mean_male", "d", "g", "d_low", "d_high", "auroc"),
    *("z", "p", "q", "t", "p_welch", "live", "testable", "significant"),
]


def _blocks(values: csr_array, draws: int):
    """(start, stop, csc block) of features, so that features × draws stays bounded."""
    values = csc_array(values)
    width = max(1, _CELLS // max(draws, values.shape[0], 1))
    for start in range(0, values.shape[1], width):
        stop = min(start + width, values.shape[1])
        yield start, stop, values[:, start:stop]


def feature_effects(
    values: csr_array,
    female: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    alpha: float,
    permutations: int,
    rng: np.random.Generator,
    live_units: int = LIVE_UNITS,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Effects of each feature and the null of how many are significant.

    values: (m, F) one row a unit, all of known gender; female: (m) bool; two rows of one value of `groups` (m) are a pair.
    Returns a table with the columns COLUMNS and F rows, and (permutations) int64: the number of significant features when
    the labels are shuffled over the units, within pairs where there are pairs.

    d: Cohen's d, positive where female is higher; d_low, d_high: `cohen_d_interval`. auroc: share of female–male couples
    in which female is higher, ties half. z, p: `RankTest`, z the statistic in standard deviations, whose sign is the
    direction that was tested. testable: live, and with labels dealt in its favour p could have been alpha (Tarone 1990).
    q: Benjamini–Hochberg over the testable features, NaN elsewhere. significant: q ≤ alpha.
    """
    female = np.asarray(female, dtype=bool)
    n_female, n_male = int(female.sum()), int((~female).sum())
    features = values.shape[1]
    design = design_of(female, groups)
    shuffled = shuffled_labels(female, permutations, rng, groups)
    columns = {name: np.full(features, np.nan) for name in COLUMNS[3:16] if name not in ("g", "q")}
    live, testable = np.zeros((2, features), dtype=bool)
    null_p = [np.empty((0, permutations))]
    compared = min(n_female, n_male) >= 2
    for start, stop, block in _blocks(values, permutations):
        block.eliminate_zeros()
        fires = np.diff(block.indptr)
        live[start:stop] = (fires >= live_units) & compared
        if not compared:
            continue
        first, second = (moments(csr_array(block), mask) for mask in (female, ~female))
        found = {"mean_female": first.mean, "mean_male": second.mean, "d": cohen_d(first, second)}
        found["d_low"], found["d_high"] = cohen_d_interval(block.toarray(), female, design)
        found["auroc"] = areas(block, female)
        found["t"], found["p_welch"] = welch(first, second)
        for name, column in found.items():
            # a feature that fires nowhere has no difference to standardise
            columns[name][start:stop] = column if name.startswith("mean") else np.where(fires, column, np.nan)
        alive = start + np.flatnonzero(live[start:stop])
        test = RankTest(block[:, alive - start], female, design)
        statistic = test.statistic(female)
        least, (columns["p"][alive], null) = test.p(statistic, test.statistic(shuffled))
        columns["z"][alive] = np.divide(statistic, test.sd, out=np.zeros_like(statistic), where=test.sd > 0)
        testable[alive] = least <= alpha
        null_p.append(null[least <= alpha])
    table = pd.DataFrame({"feature": np.arange(features, dtype=np.int64)} | columns)
    table["n_female"], table["n_male"] = n_female, n_male
    table["g"] = table["d"] * hedges_factor(n_female, n_male)
    table["live"], table["testable"] = live, testable
    table["q"] = np.nan
    table.loc[testable, "q"] = benjamini_hochberg(table.loc[testable, "p"].to_numpy())
    table["significant"] = (table["q"] <= alpha).to_numpy(dtype=bool)
    null = (benjamini_hochberg(np.concatenate(null_p)) <= alpha).sum(axis=0)
    return table[COLUMNS], null


def gender_effects(
    *,
    dataset: Path,
    tokens: list[Path],
    codes: Path,
    conditions: list[str],
    alpha: float,
    permutations: int,
    seed: int,
    language: str,
    out_table: Path,
    out: Path,
) -> None:
    """Effects per feature, condition and split, and the features that stand out.

    A unit is an image or, where images form groups, the mean of a group's images of one gender. Writes `out_table` (kind
    gender_effects: one row per condition, split and feature) and `out` (kind gender). Features are chosen on `select`,
    every number of a chosen feature is from `test`.
    """
    samples = read_table(dataset, "dataset")
    table, stored = read_tokens(tokens), Codes(codes)
    tables, summary = [], {}
    for condition in conditions:
        effects, nulls, images, units, sinks, ways = {}, {}, {}, {}, {}, {}
        for split in ("select", "test"):
            part = samples[samples["split"] == split]
            pooled = pool_codes(stored, table, part, condition=condition)
            every = by_image(pooled.values, pooled.sample_ids, part)
            images[split] = every.counts() | {"dropped_samples": len(pooled.dropped)}
            sinks[split] = pooled.sinks
            of_group = every.labelled().by_group()
            units[split] = of_group.units()
            female = of_group.gender == "female"
            ways[split] = arrangements(female, of_group.group, mirror=~female)
            effects[split], nulls[split] = feature_effects(
                of_group.values,
                female,
                of_group.group,
                alpha=alpha,
                permutations=permutations if split == "test" else 0,
                rng=stream(seed, "gender", language, condition, split),
            )
            effects[split].insert(1, "condition", condition)
            effects[split].insert(2, "split", split)
        tables += [effects["select"], effects["test"]]
        found = _summary(effects["select"], effects["test"], nulls["test"], ways["test"])
        because = _untested(found, units["test"], alpha, permutations)
        summary[condition] = tested(because) | {"images": images, "units": units, "sinks": sinks} | found
        log.info(
            "%s: %s",
            condition,
            f"not tested, because {because}"
            if because
            else f"{found['significant']} of {found['testable']} testable features significant on test, "
            f"{found['null']['mean']:.1f} by chance",
        )
    write_table(out_table, "gender_effects", pd.concat(tables, ignore_index=True))
    document: dict[str, Any] = {
        "language": language,
        "site": stored.attributes.get("site"),
        "sae": stored.attributes.get("sae"),
        "d_sae": stored.d_sae,
        "alpha": alpha,
        "permutations": permutations,
        "seed": seed,
        "live_units": LIVE_UNITS,
        "unit": "image, or the images of one group and gender",
        "test": "Mann-Whitney U, of pairs Wilcoxon's signed-rank sum, added where there are both; two-sided, its null that of "
        "permutation",
        "family": "the testable features of one condition and split",
        "sign": "positive d: higher for female; female or male by the sign of z",
        "conditions": summary,
    }
    write_json(out, "gender", document)


def _untested(found: dict[str, Any], units: dict[str, int], alpha: float, permutations: int) -> str | None:
    """Why nothing can be said on whether more features are significant than chance gives; None where it can."""
    if few := too_few_units({name: units[name] for name in ("female", "male")}, 2):
        return few
    if not found["live"]:
        return f"no feature fires in {LIVE_UNITS} test images"
    if not found["testable"]:
        return f"with so few images no feature could have had a p of {alpha:g}"
    return too_few_permutations(permutations, alpha)


def _summary(select: pd.DataFrame, test: pd.DataFrame, null: np.ndarray, ways: int) -> dict[str, Any]:
    names = ("live", "testable", "significant")
    counts = {
        split: {name: int(table[name].sum()) for name in names}
        for split, table in (("select", select), ("test", test))
    }
    confirmed = (select["significant"] & test["significant"] & (select["z"] * test["z"] > 0)).to_numpy()
    document = counts["test"] | {
        "null": null_summary(null, counts["test"]["significant"], ways),
        "select": counts["select"],
        "confirmed": int(confirmed.sum()),
    }
    for gender, sign in (("female", 1), ("male", -1)):
        # the direction is that of the test; a feature that separates the genders without any variation comes first
        chosen = select[select["significant"] & (sign * select["z"] > 0)]
        order = np.lexsort((chosen["feature"], -chosen["z"].abs(), -sign * chosen["d"]))[:TOP]
        document[f"top_{gender}"] = [
            {"feature": int(feature), "d_select": _finite(d), "confirmed": bool(confirmed[feature])}
            | _numbers(test.iloc[int(feature)])
            for feature, d in zip(chosen["feature"].iloc[order], chosen["d"].iloc[order], strict=True)
        ]
    return document


def null_summary(
    null: np.ndarray, observed: float, arrangements: float = math.inf
) -> dict[str, float | None]:
    """Mean and quantiles of a count under permutation, and p = (1 + #{null ≥ observed}) / (1 + permutations).

    least_p: the least that p could have been, with so many `arrangements` of the labels that can be told apart."""
    if not len(null):
        return dict.fromkeys(("mean", "q50", "q95", "max", "p", "least_p"))
    return {
        "mean": float(null.mean()),
        "q50": float(np.quantile(null, 0.5)),
        "q95": float(np.quantile(null, 0.95)),
        "max": float(null.max()),
        "p": float((1 + np.sum(null >= observed)) / (1 + len(null))),
        "least_p": permutation_floor(len(null), arrangements=arrangements),
    }


def _numbers(row: pd.Series) -> dict[str, Any]:
    """The test numbers of one feature, None where undefined or infinite."""
    names = ("mean_female", "mean_male", "d", "g", "d_low", "d_high", "auroc", "z", "p", "q")
    shown = {name: _finite(row[name]) for name in names}
    return shown | {name: bool(row[name]) for name in ("live", "testable", "significant")}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
