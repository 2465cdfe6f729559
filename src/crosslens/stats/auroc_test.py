"""Whether a score that was learned elsewhere tells two classes apart."""

import numpy as np
from scipy.stats import rankdata

from crosslens.stats.resampling import shuffled_labels

_CELLS = 10_000_000


def permuted_auroc_p(
    score: np.ndarray, y: np.ndarray, groups: np.ndarray | None, permutations: int, rng: np.random.Generator
) -> float:
    """One-sided p of the AUROC of scores (n) and classes (n) bool: (1 + permutations that reach it) / (1 + permutations).

    The classes are shuffled, by group (see `shuffled_labels`), and the score stays: valid for any score that the classes
    had no part in, as that of a probe of other images. Permutations that leave one class only reach nothing.
    """
    y = np.asarray(y, dtype=bool)
    ranks = rankdata(score)

    def area(labels: np.ndarray) -> np.ndarray:
        positive = labels.sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return (ranks @ labels - positive * (positive + 1) / 2) / (positive * (len(ranks) - positive))

    observed, reached, left = area(y[:, None])[0], 0, permutations
    while left:
        draws = min(left, max(1, _CELLS // len(ranks)))
        reached += int((area(shuffled_labels(y, draws, rng, groups)) >= observed - 1e-12).sum())
        left -= draws
    return (1 + reached) / (1 + permutations)
