"""The area under the ROC curve, its confidence interval and its test."""

import numpy as np
from scipy.optimize import brentq
from scipy.sparse import csc_array
from scipy.stats import norm, rankdata

from crosslens.stats.rank_test import rank_columns
from crosslens.stats.resampling import shuffled_labels, units
from crosslens.stats.witnesses import effective

_CELLS = 10_000_000


def auroc(score: np.ndarray, y: np.ndarray) -> np.ndarray | float:
    """Area under the ROC curve of scores (n) and classes (n) bool, ties half; (B) of scores or classes (n, B).

    NaN where a class is missing.
    """
    area = _area(rankdata(score, axis=0).T @ y, y)
    return area if np.ndim(area) else float(area)


def areas(values: csc_array, y: np.ndarray) -> np.ndarray:
    """(F) `auroc` of each column of a sparse matrix (n, F) and classes (n) bool, without ever writing out the zeros."""
    ranks, zero = rank_columns(values)
    return _area(ranks.T @ y.astype(np.float64) + y.sum() * zero, y)


def _area(rank_sum: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Mann and Whitney's U, from the sum of the positives' ranks, over the number of couples."""
    positive = y.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (rank_sum - positive * (positive + 1) / 2) / (positive * (len(y) - positive))


def auroc_interval(
    score: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None, *, level: float = 0.95
) -> tuple[float, float] | tuple[None, None]:
    """Confidence interval of `auroc`; rows of one value of `groups` (n) are one witness. (None, None) below 2
    units a class, as many as its groups are worth where they differ in size (`effective`).

    All θ with |θ − θ̂| ≤ z √(c V(θ)): V is the variance of two exponential distributions (Hanley & McNeil 1982) in
    Newcombe's (2006, method 5) form, which stays inside [0, 1] and is wide enough for few; c ≥ 1 is the ratio to it of the
    variance of DeLong et al. (1988), over groups as Obuchowski (1997) sums it, where the scores spread more than that.
    """
    score, y = np.asarray(score, dtype=np.float64), np.asarray(y, dtype=bool)
    group = units(len(y), groups)
    m, n = effective(group[y]), effective(group[~y])
    if min(m, n) < 2:
        return None, None
    estimate = auroc(score, y)

    def variance(area: float) -> float:
        more = (m + n) / 2 - 1
        return area * (1 - area) * (1 + more * (1 - area) / (2 - area) + more * area / (1 + area)) / (m * n)

    observed = _delong(score, y, group, estimate)
    ratio = max(1.0, observed / variance(estimate)) if 0 < estimate < 1 else 1.0
    z = float(norm.ppf((1 + level) / 2)) * np.sqrt(ratio)

    def beyond(area: float) -> float:
        return abs(area - estimate) - z * np.sqrt(variance(area))

    tiny = 1e-9
    low = brentq(beyond, tiny, estimate - tiny) if beyond(tiny) > 0 and estimate > 2 * tiny else 0.0
    high = (
        brentq(beyond, estimate + tiny, 1 - tiny) if beyond(1 - tiny) > 0 and estimate < 1 - 2 * tiny else 1.0
    )
    return float(low), float(high)


def _delong(score: np.ndarray, y: np.ndarray, group: np.ndarray, estimate: float) -> float:
    """Variance of the area from what each row adds to it, summed by group."""
    ranks = rankdata(score)
    m, n = int(y.sum()), int((~y).sum())
    placement = np.empty(len(y))
    placement[y] = ((ranks[y] - rankdata(score[y])) / n - estimate) / m
    placement[~y] = (1 - (ranks[~y] - rankdata(score[~y])) / m - estimate) / n
    total = 0.0
    sums = {
        label: np.bincount(group[y == label], placement[y == label], group.max() + 1)
        for label in (True, False)
    }
    for label, of_class in sums.items():
        number = effective(group[y == label])
        total += number / (number - 1) * np.square(of_class).sum()
    return float(total + 2 * (sums[True] * sums[False]).sum())


def permuted_auroc_p(
    score: np.ndarray, y: np.ndarray, groups: np.ndarray | None, permutations: int, rng: np.random.Generator
) -> np.ndarray | float:
    """One-sided p of the AUROC of scores (n) and classes (n) bool: (1 + permutations that reach it) / (1 + permutations).

    (K) of scores (n, K), by the same permutations. The classes are shuffled, by group (see `shuffled_labels`), and the score
    stays: valid for any score that the classes had no part in, as that of a probe of other images. Permutations that leave
    one class only reach nothing.
    """
    score, y = np.asarray(score), np.asarray(y, dtype=bool)
    observed, reached, left = auroc(score, y), 0, permutations
    while left:
        draws = min(left, max(1, _CELLS // len(y)))
        shuffled = auroc(score, shuffled_labels(y, draws, rng, groups))
        reached = reached + (shuffled.T >= observed - 1e-12).sum(axis=0)
        left -= draws
    p = (1 + reached) / (1 + permutations)
    return p if np.ndim(p) else float(p)
