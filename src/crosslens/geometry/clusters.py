"""Do decoder rows come in clusters? As many as are found again in halves of them, beside a cloud without any."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

from crosslens.stats.resampling import stream

NUMBERS = (2, 4, 8, 16, 32)
"""Of clusters to choose from."""
HALVES = 3
"""Pairs of half-samples."""
CLOUDS = 19
"""Gaussian clouds of the same shape: the least p is 1 / 20."""
ROUNDS, CLOSE, HELD = 25, 1e-3, 1e-3
"""Steps of the fit of that shape, at most, the movement at which it ends, and how far it is held towards the identity."""
KEPT = 50
"""Principal components that are clustered, at most."""


class Clusters(NamedTuple):
    """A partition of F rows."""

    number: int
    """Of clusters: the one whose stability is furthest above that of clouds."""
    of: np.ndarray
    """(F) int: the cluster of each row, the largest first."""
    stability: list[dict[str, Any]]
    """Of each number: `clusters`, `stability`, `clouds` (mean over them) and `clouds_most`."""
    p: float
    """Share of clouds whose largest excess over the clouds' mean, at any number, is as large."""


def cluster_rows(rows: np.ndarray, *, seed: int) -> Clusters | None:
    """Clusters of rows (F, d) by k-means on their directions; None for fewer than 4 rows.

    Stability of a number k (Ben-Hur et al. 2002): mean adjusted Rand index of two clusterings of all rows, each by the centres
    found in one of two disjoint halves. Any k splits a cloud in some way that is half stable, so that it is compared with
    the directions of Gaussian clouds around 0 of the shape that the rows have (angular central Gaussian: Tyler 1987).
    """
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    numbers = [k for k in NUMBERS if 2 * k <= len(rows) // 2]
    if not numbers:
        return None
    rng = stream(seed, "geometry", "clusters")
    own = _stabilities(_reduced(rows, seed), numbers, rng)
    factor = np.linalg.cholesky(shape_of(rows))
    clouds = []
    for _ in range(CLOUDS):
        cloud = rng.normal(size=rows.shape) @ factor.T
        cloud /= np.linalg.norm(cloud, axis=1, keepdims=True)
        clouds.append(_stabilities(_reduced(cloud, seed), numbers, rng))
    clouds = np.array(clouds)
    excess, chance = own - clouds.mean(axis=0), (clouds - clouds.mean(axis=0)).max(axis=1)
    number = numbers[int(excess.argmax())]
    found = _kmeans(_reduced(rows, seed), number, seed).labels_
    by_size = np.argsort(-np.bincount(found, minlength=number), kind="stable")
    return Clusters(
        number=number,
        of=np.argsort(by_size)[found],
        stability=[
            {"clusters": k, "stability": float(s), "clouds": float(c.mean()), "clouds_most": float(c.max())}
            for k, s, c in zip(numbers, own, clouds.T, strict=True)
        ],
        p=float((1 + (chance >= excess.max()).sum()) / (1 + CLOUDS)),
    )


def shape_of(rows: np.ndarray) -> np.ndarray:
    """(d, d) Tyler's estimate of the shape of a Gaussian whose directions the rows (n, d) of unit norm are; trace d.

    A covariance of the rows themselves would be too round: bringing them to one norm takes from the long axes. Held a
    little towards the identity, without which it needs more rows than dimensions.
    """
    n, d = rows.shape
    shape = np.eye(d)
    for _ in range(ROUNDS):
        weights = 1.0 / np.einsum("nd,nd->n", rows @ np.linalg.inv(shape), rows)
        found = (rows * weights[:, None]).T @ rows
        found = (1 - HELD) * found * (d / np.trace(found)) + HELD * np.eye(d)
        moved, shape = np.abs(found - shape).max(), found
        if moved < CLOSE:
            break
    return shape


def _reduced(rows: np.ndarray, seed: int) -> np.ndarray:
    kept = min(KEPT, *rows.shape)
    return PCA(n_components=kept, random_state=seed).fit_transform(rows.astype(np.float64))


def _kmeans(x: np.ndarray, k: int, seed: int) -> KMeans:
    return KMeans(n_clusters=k, n_init=1, random_state=seed).fit(x)


def _stabilities(x: np.ndarray, numbers: list[int], rng: np.random.Generator) -> np.ndarray:
    found = np.zeros((HALVES, len(numbers)))
    for row in found:
        order = rng.permutation(len(x))
        halves = np.array_split(order, 2)
        seed = int(rng.integers(2**31))
        for i, k in enumerate(numbers):
            row[i] = adjusted_rand_score(*(_kmeans(x[half], k, seed).predict(x) for half in halves))
    return found.mean(axis=0)
