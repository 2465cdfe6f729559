"""Seeded resampling of images, labels shuffled over images, and where a value stands in its null."""

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


def null_band(null: np.ndarray, value: float | None, *, tails: int = 2) -> dict[str, float | None]:
    """Mean, 2.5 %, 95 % and 97.5 % quantiles of a null and the p of `value`: of its upper tail, or twice the smaller."""
    null = null[np.isfinite(null)]
    if not len(null) or value is None or not np.isfinite(value):
        return {"mean": None, "q025": None, "q95": None, "q975": None, "p": None}
    above, below = np.sum(null >= value - 1e-12), np.sum(null <= value + 1e-12)
    tail = above if tails == 1 else min(above, below)
    q025, q95, q975 = np.quantile(null, [0.025, 0.95, 0.975])
    return {
        "mean": float(null.mean()),
        "q025": float(q025),
        "q95": float(q95),
        "q975": float(q975),
        "p": float(min(1.0, tails * (1 + tail) / (1 + len(null)))),
    }
