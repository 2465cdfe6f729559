"""How alike two languages represent the same captions: SVCCA, PWCCA, Procrustes distance, principal angles."""

from typing import NamedTuple

import numpy as np

VARIANCE = 0.99
"""Share of a side's variance that the directions kept for canonical correlations carry."""
ROWS_PER_DIRECTION = 10
"""Of more directions the rows would fit anything to anything."""
SUBSPACE = 10
"""Directions of largest variance whose principal angles are told."""


class Side(NamedTuple):
    """Centred rows X = U S Vᵀ (n, d), the largest singular values first."""

    u: np.ndarray
    """(n, r) orthonormal."""
    s: np.ndarray
    """(r)"""
    v: np.ndarray
    """(d, r) orthonormal."""

    def kept(self) -> int:
        """Directions that carry VARIANCE of the variance, at most one for each ROWS_PER_DIRECTION rows; 0: nothing varies."""
        total = np.square(self.s).sum()
        if not total:
            return 0
        enough = int(np.searchsorted(np.cumsum(np.square(self.s)) / total, VARIANCE - 1e-12)) + 1
        return max(1, min(enough, len(self.u) // ROWS_PER_DIRECTION))


def decomposed(x: np.ndarray) -> Side:
    """The singular value decomposition of x (n, d), its columns centred; directions that are rounding are left out."""
    x = x.astype(np.float64)
    u, s, vt = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    keep = s > 1e-9 * s[:1].sum()
    return Side(u[:, keep], s[keep], vt[keep].T)


def likeness(first: Side, second: Side, order: np.ndarray | None = None) -> dict[str, float]:
    """`svcca`, `pwcca` and `procrustes` of two sides; `order` (n): the rows of the second in another order.

    svcca: mean canonical correlation of the kept directions of both (Raghu et al. 2017). pwcca: the same weighted by how
    much of the first's kept activations each canonical variate carries (Morcos et al. 2018, Σ_j |⟨h_i, x_j⟩|). Both grow
    with directions per row: read them against shuffled pairs. procrustes: √(2 − 2 ‖XᵀY‖₁), ‖·‖₁ the sum of singular
    values and both sides of norm 1, from 0 (the same but for rotation and scale) to √2 (Ding et al. 2021). NaN where a
    side does not vary.
    """
    k, m = first.kept(), second.kept()
    if not (k and m):
        return dict.fromkeys(("svcca", "pwcca", "procrustes"), float("nan"))
    other = second.u if order is None else second.u[order]
    cross = first.u.T @ other
    variates, correlations, _ = np.linalg.svd(cross[:k, :m], full_matrices=False)
    # ⟨h_i, x_j⟩ of h = U variates and X = U S Vᵀ of the kept directions
    carried = np.abs((variates.T * first.s[:k]) @ first.v[:, :k].T).sum(axis=1)
    scale = np.linalg.norm(first.s) * np.linalg.norm(second.s)
    overlap = np.linalg.svd(first.s[:, None] * cross * second.s, compute_uv=False).sum() / scale
    return {
        "svcca": float(correlations.mean()),
        "pwcca": float(carried @ correlations / carried.sum()),
        "procrustes": float(np.sqrt(max(0.0, 2 - 2 * overlap))),
    }


def principal_cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(k) cosines of the principal angles between the spans of two orthonormal sets of columns (d, k), the largest first."""
    return np.linalg.svd(first.T @ second, compute_uv=False).clip(0, 1)


def share_within(direction: np.ndarray, subspace: np.ndarray) -> np.ndarray:
    """cos² of the angle between directions (d, B) and the span of orthonormal columns (d, k): the share within it (B)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.square(subspace.T @ direction).sum(axis=0) / np.square(direction).sum(axis=0)
