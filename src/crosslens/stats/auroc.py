"""The area under the ROC curve and its confidence interval."""

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm, rankdata

from crosslens.stats.resampling import units


def auroc(score: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray | float:
    """Area under the ROC curve of scores (n) and classes (n) bool, ties half; (B) under weights (n, B).

    NaN where a class is missing.
    """
    single = weights is None
    weights = np.ones((len(score), 1)) if single else weights
    values, tie = np.unique(score, return_inverse=True)
    positive, negative = np.zeros((2, len(values), weights.shape[1]))
    np.add.at(positive, tie[y], weights[y])
    np.add.at(negative, tie[~y], weights[~y])
    below = np.cumsum(negative, axis=0) - negative
    with np.errstate(invalid="ignore"):
        area = (positive * (below + negative / 2)).sum(axis=0) / (positive.sum(axis=0) * negative.sum(axis=0))
    return float(area[0]) if single else area


def auroc_interval(
    score: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None, *, level: float = 0.95
) -> tuple[float, float] | tuple[None, None]:
    """Confidence interval of `auroc`; rows of one value of `groups` (n) are one witness. (None, None) below 2 units a class.

    All θ with |θ − θ̂| ≤ z √(c V(θ)): V is the variance of two exponential distributions (Hanley & McNeil 1982) in
    Newcombe's (2006, method 5) form, which stays inside [0, 1] and is wide enough for few; c ≥ 1 is the ratio to it of the
    variance of DeLong et al. (1988), over groups as Obuchowski (1997) sums it, where the scores spread more than that.
    """
    score, y = np.asarray(score, dtype=np.float64), np.asarray(y, dtype=bool)
    group = units(len(y), groups)
    m, n = len(np.unique(group[y])), len(np.unique(group[~y]))
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
        number = len(np.unique(group[y == label]))
        total += number / (number - 1) * np.square(of_class).sum()
    return float(total + 2 * (sums[True] * sums[False]).sum())
