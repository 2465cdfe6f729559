"""Corrections for many tests: of the share of false ones among those found, and of any false one."""

import numpy as np


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """q-values of a family of p-values along axis 0, (F) or (F, P). Source: Benjamini & Hochberg (1995)."""
    p = np.asarray(p, dtype=np.float64)
    family = p.shape[0]
    if not family:
        return p.copy()
    order = np.argsort(p, axis=0, kind="stable")
    rank = np.arange(1, family + 1).reshape(-1, *[1] * (p.ndim - 1))
    scaled = np.take_along_axis(p, order, axis=0) * (family / rank)
    adjusted = np.minimum(np.minimum.accumulate(scaled[::-1], axis=0)[::-1], 1.0)
    q = np.empty_like(p)
    np.put_along_axis(q, order, adjusted, axis=0)
    return q


def holm(p: np.ndarray) -> np.ndarray:
    """p-values (m) adjusted so that of all sets at most a share alpha has any false one at or below it. Source: Holm (1979)."""
    p = np.asarray(p, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted
