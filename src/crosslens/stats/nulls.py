"""Where a value stands in its null."""

from math import inf

import numpy as np

from crosslens.stats.tested import permutation_floor


def null_band(
    null: np.ndarray, value: float | None, *, tails: int = 2, arrangements: float = inf
) -> dict[str, float | None]:
    """Mean, 2.5 %, 95 % and 97.5 % quantiles of a null and the p of `value`: of its upper tail, or twice the smaller.

    least_p: the least that p could have been, with so many draws of so many `arrangements` that can be told apart.
    """
    null = null[np.isfinite(null)]
    if not len(null) or value is None or not np.isfinite(value):
        return {"mean": None, "q025": None, "q95": None, "q975": None, "p": None, "least_p": None}
    above, below = np.sum(null >= value - 1e-12), np.sum(null <= value + 1e-12)
    tail = above if tails == 1 else min(above, below)
    q025, q95, q975 = np.quantile(null, [0.025, 0.95, 0.975])
    return {
        "mean": float(null.mean()),
        "q025": float(q025),
        "q95": float(q95),
        "q975": float(q975),
        "p": float(min(1.0, tails * (1 + tail) / (1 + len(null)))),
        "least_p": permutation_floor(len(null), tails=tails, arrangements=arrangements),
    }
