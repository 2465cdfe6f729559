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
    """95 % interval of a correlation: Fisher z of the estimate ± 1.96 sd, (None, None) where undefined.

    Centred on the estimate, because resampling adds noise to both variables and so pulls every resampled
    correlation towards 0: the percentiles would be an interval for something smaller. The sd of z is
    sd(r*) / (1 − mean(r*)²), to first order, so that a resample with r* = 1 (ranks often give one) does no harm.
    At r = ±1, where z ends, the interval is that of the percentiles. None where resamples are all the same, as of one unit a
    category: they say nothing of how r varies.
    """
    resampled = resampled[np.isfinite(resampled)]
    if not np.isfinite(r) or len(resampled) < 2 or np.ptp(resampled) < 1e-12:
        return None, None
    slope = 1 - resampled.mean() ** 2
    if 1 - abs(r) < 1e-9 or slope < 1e-9:
        low, high = np.quantile(resampled, [0.025, 0.975])
        return min(float(low), r), max(float(high), r)
    spread = np.std(resampled, ddof=1) / slope
    return float(np.tanh(np.arctanh(r) - 1.96 * spread)), float(np.tanh(np.arctanh(r) + 1.96 * spread))
