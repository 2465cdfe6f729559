"""Permutation of the signs of paired differences."""

import numpy as np

EXACT_SIGN_FLIPS = 14
"""Up to so many values all 2ⁿ sign patterns are enumerated."""


def sign_flip_p(differences: np.ndarray, rng: np.random.Generator, draws: int = 10_000) -> float:
    """Two-sided p that differences (n) are symmetric about 0: permutation of their signs, statistic |mean|.

    Exact by enumeration for n ≤ EXACT_SIGN_FLIPS, else Monte Carlo, p = (1 + #{|mean*| ≥ |mean|}) / (1 + draws),
    which is valid at any number of draws. NaN for n = 0. Source: Fisher (1935), section 21.
    """
    differences = np.asarray(differences, dtype=np.float64)
    n = len(differences)
    if n == 0:
        return float("nan")
    observed = abs(differences.sum()) - 1e-12 * np.abs(differences).sum()
    if n <= EXACT_SIGN_FLIPS:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        return float(np.mean(np.abs(signs @ differences) >= observed))
    signs = 1.0 - 2.0 * rng.integers(0, 2, size=(draws, n))
    return float((1 + np.sum(np.abs(signs @ differences) >= observed)) / (1 + draws))
