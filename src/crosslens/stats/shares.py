"""Shares and their confidence interval."""

import numpy as np
from scipy.special import betaincinv, ndtri, stdtrit

from crosslens.stats.resampling import units
from crosslens.stats.witnesses import effective

_FEWEST = 1.5
"""Groups that any are worth at least, for a variance."""
FEW = 5
"""Groups that have a hit, and that have a miss, below which their spread is hardly known: of 30 groups of five rows of which
.05 hit, with a correlation of .5 within, an interval that trusts it covers .90."""


def share_interval(
    hits: np.ndarray, groups: np.ndarray | None = None, *, level: float = 0.95
) -> tuple[float, float] | tuple[None, None]:
    """Wilson's (1927) interval of the mean of `hits` (n), each 0 or 1; (None, None) for none.

    groups: (n) rows that are one witness. What counts then is n / deff, deff ≥ 1 the ratio of the variance of the mean
    over groups to that of n independent rows, less what t of so few groups is beyond t of the rows (Korn & Graubard 1998),
    these few being the groups that have a hit, or a miss, whichever are fewer, as the others are all alike; no less than the
    groups if each were of one mind. But a group counts at most once where fewer than FEW have a hit, or a miss, as so few
    tell no variance. Groups of different sizes are as few as they are worth (`effective`). Covers .92 at the least, and more
    where so few tell it.
    """
    hits = np.asarray(hits, dtype=np.float64)
    n = len(hits)
    if not n:
        return None, None
    group = units(n, groups)
    sizes, share = np.bincount(group), float(hits.mean())
    size = alone = effective(group)
    if 1 < len(sizes) < n and 0 < share < 1:
        residual = np.bincount(group, hits - share)
        number = max(alone, _FEWEST)
        variance = number / (number - 1) * np.square(residual).sum() / n**2
        telling = min(effective(group[np.isin(group, group[hits == kind])]) for kind in (0, 1))
        variance = max(variance, share * (1 - share) / n)
        if telling < FEW:
            size = min(_worth(variance, share, n, number, level), alone)
        else:
            # of one mind, but not of one size: how much each weighs is known as badly as by t
            alone *= 1.0 if np.ptp(sizes) == 0 else _less(n, telling, level)
            size = max(_worth(variance, share, n, telling, level), alone)
    z = float(ndtri((1 + level) / 2))
    centre = (share + z**2 / (2 * size)) / (1 + z**2 / size)
    half = z / (1 + z**2 / size) * np.sqrt(share * (1 - share) / size + z**2 / (4 * size**2))
    # Where all are alike, one bound is theirs: the difference would be rounding.
    low, high = float(centre - half), float(centre + half)
    return (0.0 if share == 0 else max(0.0, low)), (1.0 if share == 1 else min(1.0, high))


def mean_share_interval(
    shares: np.ndarray, captions: float, level: float = 0.95
) -> tuple[float, float] | None:
    """Interval of the mean of `shares` (n), each in [0, 1], of n pictures with `captions` captions in all; None for n < 2.

    Korn and Graubard (1998): Clopper-Pearson's, of as many captions as would be worth the pictures if they were
    independent. Where all pictures agree they are worth one each, and no more where fewer than FEW differ from the others'
    0 or 1. Covers .93 at the least, and more where few differ.
    """
    n = len(shares)
    if n < 2:
        return None
    mean, variance = float(shares.mean()), float(shares.var(ddof=1)) / n
    if mean in (0.0, 1.0):
        worth = float(n)
    elif variance == 0:
        worth = max(captions, n)
    else:
        telling = int(min(np.sum(shares > 0), np.sum(shares < 1)))
        if telling < FEW:
            worth = min(_worth(variance, mean, captions, n, level), n)
        else:
            worth = max(_worth(variance, mean, captions, telling, level), n)
    x, tail = worth * mean, (1 - level) / 2
    low = betaincinv(x, worth - x + 1, tail) if x > 0 else 0.0
    high = betaincinv(x + 1, worth - x, 1 - tail) if x < worth else 1.0
    return float(low), float(high)


def _worth(variance: float, share: float, rows: float, telling: int, level: float) -> float:
    """Of how many independent rows, at most `rows`, a share has that variance, as well as so many groups tell it."""
    return min(share * (1 - share) / variance * _less(rows, telling, level), rows)


def _less(rows: float, telling: float, level: float) -> float:
    """What t of so many groups, instead of t of the rows, makes of a number of rows."""
    return float((stdtrit(rows - 1, (1 + level) / 2) / stdtrit(telling - 1, (1 + level) / 2)) ** 2)
