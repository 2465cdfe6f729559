"""Least squares with standard errors for rows that come in clusters."""

import numpy as np
from scipy.stats import t


def clustered_slopes(
    y: np.ndarray, x: np.ndarray, clusters: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Standardised slopes (c, F) of columns of y (n, F) on those of x (n, c), and half the width of their 95 % intervals.

    An intercept is fitted too. clusters: for each of the c slopes the (n) cluster of each row by which its error is reckoned,
    the level at which that column is dealt out. Error: the sandwich with the factor G / (G − 1) · (n − 1) / (n − k), and
    Student's t of G − 1 (Liang & Zeger 1986; Cameron & Miller 2015). NaN where y or a column of x does not vary, where
    columns of x are collinear, and for a slope with fewer than two clusters.
    """
    n, c = x.shape
    scale = x.std(axis=0)
    spread = y.std(axis=0)
    slopes, half = np.full((2, c, y.shape[1]), np.nan)
    z = (x - x.mean(axis=0)) / np.where(scale > 0, scale, 1)
    if n <= c + 1 or np.linalg.matrix_rank(z) < c:
        return slopes, half
    there = spread > 0
    v = (y[:, there] - y[:, there].mean(axis=0)) / spread[there]
    bread = np.linalg.inv(z.T @ z)
    slopes[:, there] = bread @ (z.T @ v)
    error = v - z @ slopes[:, there]
    for i, cluster in enumerate(clusters):
        number, of = len(np.unique(cluster)), np.unique(cluster, return_inverse=True)[1]
        if number < 2:
            continue
        scores = np.zeros((number, there.sum()))
        np.add.at(scores, of, (z @ bread[i])[:, None] * error)
        factor = number / (number - 1) * (n - 1) / (n - c - 1)
        half[i, there] = t.ppf(0.975, number - 1) * np.sqrt(factor * np.square(scores).sum(axis=0))
    return slopes, half
