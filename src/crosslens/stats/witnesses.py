"""How many witnesses groups of different sizes are."""

import numpy as np


def effective(group: np.ndarray) -> float:
    """As how many groups of one size those of n rows are worth: (Σ n_g)² / Σ n_g² (Kish 1965). group: (n) numbers from 0.

    Where one group has most of the rows, what it happens to say is most of the answer, however many others there are.
    """
    sizes = np.bincount(group).astype(np.float64)
    return float(sizes.sum() ** 2 / np.square(sizes).sum()) if len(sizes) else 0.0


def witnesses(group: np.ndarray) -> int:
    """The same as a whole number, for intervals by resamples of the groups: two at least, where there are two."""
    return max(int(effective(group)), min(len(np.unique(group)), 2))
