"""Welch's t-test for many features at once."""

from typing import NamedTuple

import numpy as np
from scipy.special import stdtr

from crosslens.stats.effect_size import Moments


class WelchTest(NamedTuple):
    """Welch's t (positive: the first group is higher) and its two-sided p."""

    t: np.ndarray
    p: np.ndarray


def welch(first: Moments, second: Moments) -> WelchTest:
    """Welch's unequal-variance t-test; t = 0 and p = 1 where nothing differs. Equals scipy's ttest_ind."""
    a, b = first.variance / first.n, second.variance / second.n
    difference = first.mean - second.mean
    with np.errstate(invalid="ignore", divide="ignore"):
        t = difference / np.sqrt(a + b)
        degrees = (a + b) ** 2 / (a**2 / (first.n - 1) + b**2 / (second.n - 1))
        p = 2 * stdtr(degrees, -np.abs(t))
    constant = (a + b) == 0
    t = np.where(constant, np.where(difference == 0, 0.0, np.copysign(np.inf, difference)), t)
    return WelchTest(t, np.where(constant, np.where(difference == 0, 1.0, 0.0), p))
