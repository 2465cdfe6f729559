"""False discovery control."""

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
