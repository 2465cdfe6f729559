"""How far the effects d of features agree between two languages, and what their correlation is by chance."""

from collections.abc import Callable, Mapping
from math import factorial
from typing import Any

import numpy as np

from crosslens.stats.correlation import pearson, spearman
from crosslens.stats.effect_size import effect_sizes
from crosslens.stats.nulls import null_band

CELLS = 1 << 22
"""Features × resamples held at once."""
METHODS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "pearson": pearson,
    "spearman": spearman,
}
Correlations = dict[tuple[str, str], np.ndarray]
"""(family, method) -> (B)."""


def correlations(
    d_first: np.ndarray,
    d_second: np.ndarray,
    inside: Mapping[str, np.ndarray],
    methods: Mapping[str, Callable] = METHODS,
) -> Correlations:
    """r over the rows of each family (`inside`) of every column of d (F, B)."""
    result = {}
    for family, rows in inside.items():
        # a resample may leave a feature without variation; it counts as no difference
        a, b = (np.nan_to_num(d[rows], posinf=0, neginf=0) for d in (d_first, d_second))
        for method, function in methods.items():
            result[family, method] = function(a, b)
    return result


def resampled(
    values: list[Any],
    female: list[np.ndarray],
    inside: Mapping[str, np.ndarray],
    weights: np.ndarray,
    methods: Mapping[str, Callable] = METHODS,
) -> Correlations:
    """The same under weights (m, B) of the units, and labels (m) or (m, B) of each language."""
    draws = weights.shape[1]
    step = max(1, CELLS // max(values[0].shape[1], values[0].shape[0]))
    parts: dict[tuple[str, str], list[np.ndarray]] = {
        (family, method): [] for family in inside for method in methods
    }
    for start in range(0, draws, step):
        at = slice(start, min(start + step, draws))
        labels = [f[:, at] if f.ndim > 1 else f for f in female]
        sizes = [effect_sizes(v, f, weights[:, at]) for v, f in zip(values, labels, strict=True)]
        for key, r in correlations(*sizes, inside, methods).items():
            parts[key].append(r)
    return {key: np.concatenate(part) if part else np.empty(0) for key, part in parts.items()}


def with_partners_shuffled(
    a: np.ndarray,
    b: np.ndarray,
    draws: int,
    rng: np.random.Generator,
    methods: Mapping[str, Callable] = METHODS,
) -> dict[str, np.ndarray]:
    """method -> (draws): r with the features of the second language in random order; none of fewer than three."""
    if len(a) < 3 or not draws:
        return {method: np.empty(0) for method in methods}
    result: dict[str, list[np.ndarray]] = {method: [] for method in methods}
    step = max(1, CELLS // len(a))
    for start in range(0, draws, step):
        width = min(step, draws - start)
        other = rng.permuted(np.repeat(b[:, None], width, axis=1), axis=0)
        for method, function in methods.items():
            result[method].append(function(np.repeat(a[:, None], width, axis=1), other))
    return {method: np.concatenate(parts) for method, parts in result.items()}


def of_both(
    nulls: Mapping[str, np.ndarray], r: float | None, features: int, arrangements: int
) -> dict[str, dict[str, float | None]]:
    """Two-sided `null_band` of r in `pairing`, partners of so many features shuffled, and `labels`, of so many arrangements."""
    ways = {"pairing": factorial(features), "labels": arrangements}
    return {name: null_band(null, r, arrangements=ways[name]) for name, null in nulls.items()}
