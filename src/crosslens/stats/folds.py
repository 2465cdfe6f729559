"""Folds of a cross-validation that cut no group."""

from collections.abc import Iterator

import numpy as np

from crosslens.stats.resampling import units


def grouped_folds(
    y: np.ndarray, groups: np.ndarray | None, folds: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(train rows, held-out rows) `folds` times, each with about the share of classes of y (n); a group is in one fold."""
    import sklearn.model_selection as sklearn

    group = units(len(y), groups)
    whole = group.max(initial=-1) + 1 == len(y)
    # the same without groups, and as dealt to studies that have none
    kind = sklearn.StratifiedKFold if whole else sklearn.StratifiedGroupKFold
    return kind(folds, shuffle=True, random_state=seed).split(np.zeros(len(y)), y, None if whole else group)
