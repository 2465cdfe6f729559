"""Means, variances and Cohen's d of two groups, for many features and many sets of image weights at once."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import sparray
from scipy.special import gammaln

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

    0 where nothing varies and the means agree; NaN where nothing varies but the means differ, or a group
    has fewer than two members. Source: Cohen (1988), section 2.2.
    """
    degrees = np.asarray(first.n + second.n - 2, dtype=np.float64)
    difference = first.mean - second.mean
    with np.errstate(invalid="ignore", divide="ignore"):
        d = difference / np.sqrt((first.squares + second.squares) / degrees)
    constant = (first.squares == 0) & (second.squares == 0)
    scale = np.maximum(np.abs(first.mean), np.abs(second.mean))
    d[constant] = np.where(np.abs(difference[constant]) <= _ROUNDING * scale[constant], 0.0, np.nan)
    d[..., (np.asarray(first.n) < 2) | (np.asarray(second.n) < 2)] = np.nan
    return d


def hedges_factor(n_first: float, n_second: float) -> float:
    """Exact small-sample correction J(m) = Γ(m/2) / (√(m/2) Γ((m−1)/2)), m = n1 + n2 − 2; g = J d.

    NaN for m < 2. Source: Hedges (1981), eq. 6e.
    """
    m = n_first + n_second - 2
    if m < 2:
        return float("nan")
    return float(np.exp(gammaln(m / 2) - gammaln((m - 1) / 2)) / np.sqrt(m / 2))
