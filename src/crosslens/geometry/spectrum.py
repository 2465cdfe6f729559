"""Over how many directions something is spread, from the shares that they have."""

import numpy as np

SPREAD = ("bits", "effective_rank", "participation_ratio", "rank_95")
_ROUNDING = 1e-9


def spread(variances: np.ndarray) -> dict[str, float | int | None]:
    """What the shares p = v / Σv of variances v (d) ≥ 0, or of squared singular values, say; None where all are 0.

    `bits`: their entropy −Σ p log₂ p. `effective_rank`: 2 to its power, exp(H(p)) in nats (Roy and Vetterli 2007, of σ²).
    `participation_ratio`: 1 / Σp². `rank_95`: the fewest directions that have 95 % together.
    """
    variances = np.clip(variances, 0, None)
    if not (total := float(variances.sum())):
        return dict.fromkeys(SPREAD)
    p = np.sort(variances / total)[::-1]
    positive = p[p > 0]
    bits = float(-(positive * np.log2(positive)).sum())
    return {
        "bits": bits,
        "effective_rank": float(2.0**bits),
        "participation_ratio": float(1 / np.square(p).sum()),
        "rank_95": int(np.searchsorted(np.cumsum(p), 0.95 - _ROUNDING)) + 1,
    }
