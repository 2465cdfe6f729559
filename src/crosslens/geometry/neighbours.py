"""Nearest neighbours, a block of rows at a time: how far a map can be trusted, and whether neighbours share a label."""

from collections.abc import Iterator

import numpy as np

BLOCK_BYTES = 256 << 20
"""Of one block of distances."""


def nearest(x: np.ndarray, k: int, groups: np.ndarray | None = None) -> np.ndarray:
    """(n, k) int: the k nearest other rows of x (n, d) by Euclidean distance, the nearest first.

    groups: (n) int; rows of the row's own group are no neighbours. A row that has fewer than k others has −1 for the rest.
    """
    found = np.full((len(x), k), -1, dtype=np.int64)
    for rows, squared in _distances(x):
        own = rows if groups is None else groups[rows]
        squared[own[:, None] == (np.arange(len(x)) if groups is None else groups)[None, :]] = np.inf
        # a part of the row, then that part by distance: sorting whole rows would take most of the time
        part = np.sort(np.argpartition(squared, min(k, len(x)) - 1, axis=1)[:, :k], axis=1)
        order = np.argsort(np.take_along_axis(squared, part, axis=1), axis=1, kind="stable")
        near = np.take_along_axis(part, order, axis=1)
        there = np.isfinite(np.take_along_axis(squared, near, axis=1))
        found[rows, : near.shape[1]] = np.where(there, near, -1)
    return found


def trustworthiness(x: np.ndarray, shown: np.ndarray, k: int) -> float:
    """How far the k nearest in a map `shown` (n, c) are near in x (n, d) too, from 0 to 1 (Venna and Kaski 2001).

    `T = 1 − 2 / (nk (2n − 3k − 1)) Σ_i Σ_j max(0, r(i, j) − k)` over the k nearest j of i in the map, r the rank of j among the
    others by distance from i in x: as in scikit-learn, without its n × n matrices. Rows in random places have about
    .5. Raises ValueError unless k < n / 2.
    """
    n = len(x)
    if not 0 < k < n / 2:
        raise ValueError(f"k = {k} neighbours of {n} rows")
    near = nearest(shown, k)
    excess = 0
    for rows, squared in _distances(x):
        squared[np.arange(len(rows)), rows] = -1.0  # of itself: rank 0
        # ties in index order, as a stable sort has them
        for column in near[rows].T:
            own = squared[np.arange(len(rows)), column][:, None]
            before = (squared < own).sum(axis=1)
            same = (squared == own) & (np.arange(n)[None, :] < column[:, None])
            excess += int(np.maximum(before + same.sum(axis=1) - k, 0).sum())
    return 1.0 - 2.0 * excess / (n * k * (2 * n - 3 * k - 1))


def shared_labels(near: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(draws) float64: mean share of a row's neighbours `near` (n, k) with its own label; labels: (n, draws) int."""
    there = near >= 0
    counts = there.sum(axis=1)
    shares = [
        ((column[near] == column[:, None]) & there).sum(axis=1)[counts > 0] / counts[counts > 0]
        for column in labels.T
    ]
    return np.array([share.mean() if len(share) else np.nan for share in shares])


def _distances(x: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(rows (B), squared distances (B, n) float64) a block at a time."""
    # about the mean: large offsets would cost the differences their digits
    x = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
    norms = np.square(x).sum(axis=1)
    size = max(1, BLOCK_BYTES // (8 * max(len(x), 1)))
    for start in range(0, len(x), size):
        rows = np.arange(start, min(start + size, len(x)))
        yield rows, norms[rows][:, None] + norms[None, :] - 2.0 * (x[rows] @ x.T)
