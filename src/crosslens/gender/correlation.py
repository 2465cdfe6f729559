"""Pearson and tie-corrected Spearman correlation, for many pairs of columns at once."""

import numpy as np
from scipy.stats import rankdata


def pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson r along axis 0 of (F) or (F, B); NaN where one of the two is constant or F < 3."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.shape[0] < 3:
        return np.full(x.shape[1:], np.nan)
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    scale = np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale > 0, np.clip((x * y).sum(axis=0) / scale, -1, 1), np.nan)


def spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman's rho along axis 0: Pearson r of the tie-averaged ranks."""
    return pearson(rankdata(x, axis=0), rankdata(y, axis=0))


def fisher_interval(r: float, resampled: np.ndarray) -> tuple[float | None, float | None]:
    """95 % interval of a correlation: Fisher z of the estimate ± 1.96 sd of the resampled z.

    Centred on the estimate, because resampling adds noise to both variables and so pulls every resampled
    correlation towards 0: the percentiles would be an interval for something smaller.
    """
    resampled = resampled[np.isfinite(resampled)]
    if not np.isfinite(r) or len(resampled) < 2:
        return None, None
    limit = 1 - 1e-12
    spread = np.std(np.arctanh(np.clip(resampled, -limit, limit)), ddof=1)
    centre = np.arctanh(np.clip(r, -limit, limit))
    return float(np.tanh(centre - 1.96 * spread)), float(np.tanh(centre + 1.96 * spread))
