"""Seeded resampling of images, and labels shuffled over images."""

import numpy as np


def stream(seed: int, *names: str) -> np.random.Generator:
    """A generator for one named purpose, so that one stage's draws do not move another's."""
    return np.random.default_rng([seed, *(byte for name in names for byte in (*name.encode(), 0))])


def bootstrap_weights(strata: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """(n, draws) float64: how often each image is drawn, resampling with replacement inside each stratum.

    strata: (n) labels; a stratum keeps its size in every draw.
    """
    strata = np.asarray(strata)
    weights = np.zeros((len(strata), draws))
    for stratum in np.unique(strata):
        rows = np.flatnonzero(strata == stratum)
        weights[rows] = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=draws).T
    return weights


def shuffled_labels(labels: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """(n, draws): `labels` (n) in a new order in every column."""
    return rng.permuted(np.repeat(np.asarray(labels)[:, None], draws, axis=1), axis=0)
