"""Two-sample tests for many features at once."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csc_array
from scipy.special import ndtr, stdtr

from crosslens.stats.effect_size import Moments


class Ranks(NamedTuple):
    """Mid-ranks of every column of a sparse matrix, without ever writing out the zeros."""

    centred: csc_array
    """(n, F) float64: rank of an entry minus the rank that the column's zeros share."""
    zero: np.ndarray
    """(F) float64: mid-rank of the zeros."""
    ties: np.ndarray
    """(F) float64: sum of t³ − t over the groups of t equal values, zeros included."""


def rank_columns(values: csc_array) -> Ranks:
    """Tie-averaged ranks (from 1) of each column of `values` (n, F)."""
    values = csc_array(values, copy=True)
    values.eliminate_zeros()
    n, width = values.shape
    column = np.repeat(np.arange(width), np.diff(values.indptr))
    order = np.lexsort((values.data, column))
    data, owner = values.data[order], column[order]
    starts = np.ones(len(data), dtype=bool)
    starts[1:] = (data[1:] != data[:-1]) | (owner[1:] != owner[:-1])
    run = np.cumsum(starts) - 1
    first = np.flatnonzero(starts)
    length = np.diff(np.append(first, len(data)))
    # 1-based position inside the column, averaged over the run of equal values
    rank = (first - values.indptr[owner[first]] + 1 + (length - 1) / 2)[run]
    zeros = (n - np.diff(values.indptr)).astype(np.float64)
    rank += np.where(data > 0, zeros[owner], 0.0)
    negatives = np.bincount(owner, weights=data < 0, minlength=width)
    zero = negatives + (zeros + 1) / 2
    cubes = length.astype(np.float64) ** 3 - length
    ties = np.bincount(owner[first], weights=cubes, minlength=width) + zeros**3 - zeros
    centred = np.empty(len(data))
    centred[order] = rank - zero[owner]
    return Ranks(csc_array((centred, values.indices, values.indptr), shape=values.shape), zero, ties)


class RankTest(NamedTuple):
    """Mann–Whitney U of the first group and its two-sided p."""

    u: np.ndarray
    p: np.ndarray


def mann_whitney(ranks: Ranks, first: np.ndarray) -> RankTest:
    """Mann–Whitney U, tie-corrected normal approximation with continuity correction, two-sided.

    first: (n) or (n, P) indicator of the first group, everyone else is the second; every one of the P
    groups must have the same size. Returns (F) or (F, P) float64; p = 1 for a column without variation.
    Equals scipy.stats.mannwhitneyu(method="asymptotic").
    """
    first = np.asarray(first, dtype=np.float64)
    n = ranks.centred.shape[0]
    n_first = float(first.sum(axis=0).flat[0] if first.ndim > 1 else first.sum())
    n_second = n - n_first
    zero, ties = ranks.zero, ranks.ties
    if first.ndim > 1:
        zero, ties = zero[:, None], ties[:, None]
    u = ranks.centred.T @ first + n_first * zero - n_first * (n_first + 1) / 2
    half = n_first * n_second / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        sd = np.sqrt(n_first * n_second / 12 * (n + 1 - ties / (n * (n - 1))))
        z = (np.abs(u - half) - 0.5) / sd
    p = np.where(sd > 0, np.minimum(1.0, 2 * ndtr(-z)), 1.0)
    return RankTest(u, p)


class WelchTest(NamedTuple):
    """Welch's t (positive: the first group is higher) and its two-sided p."""

    t: np.ndarray
    p: np.ndarray


def welch(first: Moments, second: Moments) -> WelchTest:
    """Welch's unequal-variance t-test; t = 0 and p = 1 where nothing differs. Equals scipy's ttest_ind."""
    a, b = first.variance / first.n, second.variance / second.n
    difference = first.mean - second.mean
    with np.errstate(invalid="ignore", divide="ignore"):
        t = difference / np.sqrt(a + b)
        degrees = (a + b) ** 2 / (a**2 / (first.n - 1) + b**2 / (second.n - 1))
        p = 2 * stdtr(degrees, -np.abs(t))
    constant = (a + b) == 0
    t = np.where(constant, np.where(difference == 0, 0.0, np.copysign(np.inf, difference)), t)
    return WelchTest(t, np.where(constant, np.where(difference == 0, 1.0, 0.0), p))
