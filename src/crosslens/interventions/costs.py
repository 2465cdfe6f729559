"""What edits cost, in nats a token, with intervals by images: languages that read the same images are resampled together."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from crosslens.stats.means import resampled_interval
from crosslens.stats.resampling import bootstrap_weights

BOOTSTRAPS = 1000


class Costs(NamedTuple):
    """ΔCE of K edits over the captions of one language."""

    draws: np.ndarray
    """(1 + BOOTSTRAPS, K) nats a predicted token: over all images, then over each resample."""
    clean: np.ndarray
    """(1 + BOOTSTRAPS) the clean cross-entropy."""
    groups: int
    """Of images: what is resampled."""

    @property
    def values(self) -> np.ndarray:
        """(K)"""
        return self.draws[0]


def resamples(groups: Sequence[str], rng: np.random.Generator) -> pd.DataFrame:
    """Weights of the groups (rows, ascending): 1 of all, and how often each of BOOTSTRAPS resamples draws it (columns)."""
    names = np.unique(np.asarray(groups, dtype=object))
    drawn = bootstrap_weights(np.zeros(len(names), dtype=np.int64), BOOTSTRAPS, rng)
    return pd.DataFrame(np.hstack([np.ones((len(names), 1)), drawn]), index=names)


def costs(losses: pd.DataFrame, edits: Sequence[str], weights: pd.DataFrame) -> Costs:
    """Of the edits named: losses as of `features.splice.run_edits`, weights as of `resamples`."""
    columns = ["tokens", "ce_clean", *(f"ce_{name}" for name in edits)]
    sums = losses.groupby("group", sort=True)[columns].sum().reindex(weights.index, fill_value=0)
    tokens, clean, edited = sums["tokens"], sums["ce_clean"], sums[columns[2:]]
    number = weights.T.to_numpy() @ tokens.to_numpy(np.float64)
    change = weights.T.to_numpy() @ (edited.to_numpy() - clean.to_numpy()[:, None])
    return Costs(change / number[:, None], weights.T.to_numpy() @ clean.to_numpy() / number, len(weights))


def interval(draws: np.ndarray, groups: int) -> dict[str, float | None]:
    """`value`, of all images (the first of the draws), with `low` and `high` of the resamples of so many groups, None of one."""
    low, high = resampled_interval(draws[1:], groups) if groups > 1 else (None, None)
    return {"value": float(draws[0]), "low": low, "high": high}


def beside(value: float, random: np.ndarray) -> dict[str, float | None]:
    """How far random sets (n) go: their mean and 95 % quantile, how many times that the value is, and p, one-sided."""
    q95 = float(np.quantile(random, 0.95))
    return {
        "mean": float(random.mean()),
        "q95": q95,
        "ratio": value / q95 if q95 > 0 else None,
        "p": float((1 + np.sum(random >= value)) / (1 + len(random))),
        "least_p": 1 / (1 + len(random)),
    }
