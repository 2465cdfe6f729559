"""Of how many directions does each language make use at a site, and do two languages use as many?"""

from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from crosslens.geometry.spectrum import spread
from crosslens.pooling.languages import Pairs, described, open_languages, pairs_among
from crosslens.pooling.pool import pooled_tokens, without_sinks
from crosslens.pooling.rows import aligned, blocks
from crosslens.stats.resampling import stream
from crosslens.tables.activations import Activations
from crosslens.tables.documents import read_table, write_json
from crosslens.tables.tokens import TokenTable, read_tokens

FOLDS = 10
"""Of the groups of images, each of which the jackknife leaves out once."""
Moments = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Of each fold: tokens (folds), sums (folds, d), products (folds, d, d), float64."""


def measure_dimensions(
    *,
    datasets: dict[str, Path],
    tokens: dict[str, list[Path]],
    activations: dict[str, list[Path]],
    condition: str,
    seed: int,
    out: Path,
    pairs: Pairs | None = None,
) -> None:
    """Write JSON of kind `dimensions`: how the variance of each language's tokens is spread over directions, at one site.

    Tokens of `condition`, sinks left out, label words kept, all splits; shares of the eigenvalues of their covariance. Intervals
    and the test of two languages against each other are of the jackknife's pseudo-values over FOLDS folds of groups of images,
    the same in every language: t with FOLDS − 1 degrees of freedom. What it compares is bits, the logarithm of the effective
    rank, freed of the bias that few tokens bring. pairs: of languages; None is every two. Memory: FOLDS + 1 matrices (d, d) a
    language. Raises InputError for activations of different sites.
    """
    stored = open_languages(datasets, tokens, activations)
    frames = {language: read_table(path, "dataset") for language, path in datasets.items()}
    groups = sorted(
        set.union(
            *(set(frame["group"] if "group" in frame else frame["image_id"]) for frame in frames.values())
        )
    )
    order = stream(seed, "geometry", "folds").permutation(len(groups))
    fold_of = {group: int(place) % FOLDS for group, place in zip(groups, order, strict=True)}
    enough = len(groups) >= FOLDS
    languages, pseudo = {}, {}
    for language, of in stored.items():
        frame, table = frames[language], read_tokens(tokens[language])
        keep = pooled_tokens(table, frame, condition=condition, mask_labels=False)
        keep = without_sinks(of.norms(), table.role, keep)
        frame = frame.assign(fold=frame["group" if "group" in frame else "image_id"].map(fold_of))
        fold = aligned(table, frame, "fold").astype(np.int64)[table.sample]
        moments = fold_moments(of, table, keep, fold)
        found = spread(variances(moments))
        languages[language] = {"tokens": int(moments[0].sum()), **found}
        pseudo[language] = pseudo_values(moments) if enough and found["bits"] is not None else None
        languages[language] |= bounded("bits", pseudo[language])
    document = {
        **described(stored),
        "condition": condition,
        "images": len(set.union(*(set(frame["image_id"]) for frame in frames.values()))),
        "folds": FOLDS,
        "seed": seed,
        "of": languages,
        "differences": [
            {"languages": list(pair), **difference(*(pseudo[language] for language in pair))}
            for pair in pairs_among(stored, pairs)
        ],
    }
    write_json(out, "dimensions", document)


def fold_moments(activations: Activations, tokens: TokenTable, keep: np.ndarray, fold: np.ndarray) -> Moments:
    """Of the kept tokens (N) bool of each fold (N) int, about the mean of the first block: residuals are far from 0."""
    d, shift = activations.d_model, None
    n, sums, products = np.zeros(FOLDS), np.zeros((FOLDS, d)), np.zeros((FOLDS, d, d))
    for rows, x in blocks(activations, tokens, keep):
        x = x.astype(np.float64)
        shift = x.mean(axis=0) if shift is None else shift
        x -= shift
        for each in np.unique(fold[rows]):
            own = x[fold[rows] == each]
            n[each] += len(own)
            sums[each] += own.sum(axis=0)
            products[each] += own.T @ own
    return n, sums, products


def variances(moments: Moments, without: int | None = None) -> np.ndarray:
    """(d) eigenvalues of the covariance of all folds but one, the largest first; zeros for fewer than two tokens."""
    n, total, products = (part.sum(axis=0) for part in moments)
    if without is not None:
        n, total, products = (
            whole - part[without] for whole, part in zip((n, total, products), moments, strict=True)
        )
    if n < 2:
        return np.zeros(len(total))
    return np.linalg.eigvalsh(products / n - np.outer(total / n, total / n))[::-1].clip(min=0)


def pseudo_values(moments: Moments) -> np.ndarray | None:
    """(FOLDS) of bits (Tukey 1958): their mean has no bias of order 1/n, and they are as good as independent."""
    whole = spread(variances(moments))["bits"]
    left = [spread(variances(moments, fold))["bits"] for fold in range(FOLDS)]
    if None in left:
        return None
    return FOLDS * whole - (FOLDS - 1) * np.array(left)


def bounded(name: str, values: np.ndarray | None) -> dict[str, float | None]:
    """`{name}_corrected`, `{name}_low` and `{name}_high`: mean of pseudo-values and its 95 % interval."""
    if values is None:
        return dict.fromkeys((f"{name}_corrected", f"{name}_low", f"{name}_high"))
    reach = stats.t.ppf(0.975, FOLDS - 1) * stats.sem(values)
    mean = float(values.mean())
    return {
        f"{name}_corrected": mean,
        f"{name}_low": mean - float(reach),
        f"{name}_high": mean + float(reach),
    }


def difference(first: np.ndarray | None, second: np.ndarray | None) -> dict[str, Any]:
    """How many bits more the second has: `bits`, `low`, `high`, two-sided `p`; None where either cannot be said."""
    if first is None or second is None:
        return dict.fromkeys(("bits", "low", "high", "p"))
    found = bounded("bits", second - first)
    p = (
        stats.ttest_1samp(second - first, 0.0).pvalue
        if np.ptp(second - first)
        else float(not (second - first).any())
    )
    return {
        "bits": found["bits_corrected"],
        "low": found["bits_low"],
        "high": found["bits_high"],
        "p": float(p),
    }
