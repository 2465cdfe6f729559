"""Means, variances and Cohen's d of two groups, for many features and many sets of image weights at once."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import sparray
from scipy.special import gammaln
from scipy.stats import t as student

from crosslens.stats.rank_test import Design

_ROUNDING = 1e-12
"""A sum of squares about the mean below this share of the raw one is rounding error: the values are constant."""


class Moments(NamedTuple):
    """First two moments of one group. A shape (F) stands for one weighting, (F, B) for B weightings."""

    n: np.ndarray | float
    """() or (B): sum of the weights."""
    mean: np.ndarray
    """(F) or (F, B) float64."""
    squares: np.ndarray
    """(F) or (F, B) float64: sum of squares about the mean, exactly 0 for constant values."""

    @property
    def variance(self) -> np.ndarray:
        """Sample variance (ddof 1)."""
        return self.squares / (self.n - 1)


def moments(values: sparray, weights: np.ndarray) -> Moments:
    """Moments of each column of `values` (n, F) when row i counts `weights[i]` times; weights (n) or (n, B)."""
    values = values.astype(np.float64)
    weights = np.asarray(weights, dtype=np.float64)
    n = weights.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (values.T @ weights) / n
        raw = values.power(2).T @ weights
        squares = raw - n * mean**2
        squares[squares <= _ROUNDING * raw] = 0.0
    return Moments(n, mean, squares)


def cohen_d(first: Moments, second: Moments) -> np.ndarray:
    """(first − second) / pooled standard deviation (ddof 1), the shape of the moments.

    0 where nothing varies and the means agree, infinite where nothing varies but the means differ; NaN where a group
    has fewer than two members. Source: Cohen (1988), section 2.2.
    """
    degrees = np.asarray(first.n + second.n - 2, dtype=np.float64)
    difference = first.mean - second.mean
    with np.errstate(invalid="ignore", divide="ignore"):
        d = difference / np.sqrt((first.squares + second.squares) / degrees)
    constant = (first.squares == 0) & (second.squares == 0)
    scale = np.maximum(np.abs(first.mean), np.abs(second.mean))
    d[constant] = np.where(
        np.abs(difference[constant]) <= _ROUNDING * scale[constant],
        0.0,
        np.copysign(np.inf, difference[constant]),
    )
    d[..., (np.asarray(first.n) < 2) | (np.asarray(second.n) < 2)] = np.nan
    return d


def effect_sizes(values: sparray, female: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """d of each column (F, B) under B weightings (m, B) of the rows; `female` is (m) bool or (m, B) bool."""
    female = female if female.ndim > 1 else female[:, None]
    return cohen_d(moments(values, weights * female), moments(values, weights * ~female))


def hedges_factor(n_first: float, n_second: float) -> float:
    """Exact small-sample correction J(m) = Γ(m/2) / (√(m/2) Γ((m−1)/2)), m = n1 + n2 − 2; g = J d.

    NaN for m < 2. Source: Hedges (1981), eq. 6e.
    """
    m = n_first + n_second - 2
    if m < 2:
        return float("nan")
    return float(np.exp(gammaln(m / 2) - gammaln((m - 1) / 2)) / np.sqrt(m / 2))


FIRING = 5
"""Units of either group that must have a value other than 0: for an interval from fewer nobody knows the coverage."""
_PRIOR = 3.0
"""Degrees of freedom that the pooled variance adds to that of each group."""


def cohen_d_interval(
    values: np.ndarray, first: np.ndarray, design: Design, *, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Confidence bounds (F) of Cohen's d of each column of `values` (n, F) between the units of `first` (n) bool and the rest.

    All δ with (d − δ)² ≤ t² V(δ), a quadratic in δ: V is the large-sample variance of d − δ from what each unit adds to
    it, so that neither normal values nor equal variances are assumed, and the score form (evaluated at δ, not at d) that
    keeps skewed values honest near 0. Each group's variance is drawn towards the pooled one by three degrees of freedom,
    because a small group of skewed values often misses its own tail. Pairs add their covariance; t has Welch's degrees of
    freedom. NaN where a group has fewer than FIRING units that are not 0, or the interval has no end.
    """
    rows = (np.flatnonzero(first), np.flatnonzero(~first))
    sizes = [len(group) for group in rows]
    nothing = np.full(values.shape[1], np.nan)
    if min(sizes) < 2:
        return nothing, nothing.copy()
    degrees = sum(sizes) - 2
    centred = values - np.where(first[:, None], values[rows[0]].mean(axis=0), values[rows[1]].mean(axis=0))
    squares = np.square(centred)
    pooled = squares.sum(axis=0) / degrees
    with np.errstate(invalid="ignore", divide="ignore"):
        d = (values[rows[0]].mean(axis=0) - values[rows[1]].mean(axis=0)) / np.sqrt(pooled)
        # what a unit adds to the difference of means, and to the pooled deviation that d is divided by
        mean_part = np.where(first[:, None], 1.0, -1.0) * centred / np.sqrt(pooled)
        spread_part = np.empty_like(centred)
        for group, size in zip(rows, sizes, strict=True):
            share = (size - 1) / degrees
            spread_part[group] = -share * (squares[group] - squares[group].mean(axis=0)) / (2 * pooled)

        def covariance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            total = [(a[group] * b[group]).sum(axis=0) for group in rows]
            drawn = sum(
                (own + _PRIOR * sum(total) / degrees) / (size - 1 + _PRIOR) / size
                for own, size in zip(total, sizes, strict=True)
            )
            i, j = design.first, design.second
            paired = (a[i] * b[j] + a[j] * b[i]).sum(axis=0) / (sizes[0] * sizes[1])
            return drawn + paired

        own = [
            np.square(mean_part[group]).sum(axis=0) / (n - 1) / n
            for group, n in zip(rows, sizes, strict=True)
        ]
        freedom = sum(own) ** 2 / sum(v**2 / (n - 1) for v, n in zip(own, sizes, strict=True))
        freedom = np.minimum(freedom, len(design.singles) + len(design.first) - 1)
        t2 = student.ppf((1 + level) / 2, freedom) ** 2
        a = 1 - t2 * covariance(spread_part, spread_part)
        b = d + t2 * covariance(mean_part, spread_part)
        half = np.sqrt(b**2 - a * (d**2 - t2 * covariance(mean_part, mean_part)))
        fires = np.minimum(*((values[group] != 0).sum(axis=0) for group in rows))
        known = (fires >= FIRING) & (a > 0) & np.isfinite(half)
        return np.where(known, (b - half) / a, np.nan), np.where(known, (b + half) / a, np.nan)
