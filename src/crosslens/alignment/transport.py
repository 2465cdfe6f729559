"""A soft matching of two dictionaries: entropic optimal transport, in which a feature may have several partners."""

from typing import Any

import numpy as np
from scipy.sparse import coo_array, csr_array

from crosslens.alignment.assignment import DENSE, Matched, Nearest, candidates, cosines

EPSILON = 0.05
"""Of the entropy. A feature of cosine c takes e^(c / ε) times the mass of one at right angles: .5 for 22,000 of them."""
CONVERGED = 1e-3
"""The plan's masses are those of the features but for such a share."""
ITERATIONS = 5000
_SAMPLED = 512
"""Features of either side whose pairs stand for those that are no candidates."""

Kernel = tuple[np.ndarray | csr_array, np.ndarray | csr_array, float, float]
"""S, T (n, m), k and t: S + k is e^(−C / ε) and T + t is C e^(−C / ε), with C = 1 − cosine."""


def transport(
    first: np.ndarray,
    second: np.ndarray,
    near: tuple[Nearest, Nearest],
    matched: Matched,
    epsilon: float = EPSILON,
) -> dict[str, Any]:
    """How mass spread evenly over the rows of first (n, d) goes to second (m, d), of norm 1, at the least Σ P C − ε H(P).

    C = 1 − cosine; the plan P is Sinkhorn's (Cuturi 2013). `cost`: Σ P C, 0 where each has its like. `partners`: the
    exponential of the mean entropy of a row of P, how many a feature has in effect, from 1 to m. `on_matched`: the
    share of the mass on the pairs of `matched`. With more than DENSE rows the candidates `near` stand as they are, and every
    other pair for their mean, so that memory grows with the features and not their square.
    """
    s, t, k, c = _kernel(first, second, near, epsilon)
    u, v = _sinkhorn(s, k)
    rows, columns = u * (s @ v + k * v.sum()), v * (s.T @ u + k * u.sum())
    cost = float(u @ (t @ v) + c * u.sum() * v.sum())
    entropy = float(-rows @ np.log(u) - columns @ np.log(v) + cost / epsilon)
    kept = np.exp((matched.cosine - 1) / epsilon)
    return {
        "cost": cost,
        "partners": float(np.exp(entropy - np.log(len(first)))),
        "on_matched": float((u[matched.first] * kept * v[matched.second]).sum()),
    }


def _kernel(
    first: np.ndarray, second: np.ndarray, near: tuple[Nearest, Nearest], epsilon: float
) -> Kernel:  # fmt: skip
    if max(len(first), len(second)) <= DENSE:
        away = 1 - (first @ second.T).astype(np.float64)
        kernel = np.exp(-away / epsilon)
        return kernel, away * kernel, 0.0, 0.0
    k, c = _others(first, second, near, epsilon)
    rows, columns = candidates(near)
    away = 1 - cosines(first, second, rows, columns)
    kernel = np.exp(-away / epsilon)
    s, t = (
        csr_array(coo_array((values, (rows, columns)), shape=(len(first), len(second))))
        for values in (kernel - k, away * kernel - c)
    )
    return s, t, k, c


def _others(
    first: np.ndarray, second: np.ndarray, near: tuple[Nearest, Nearest], epsilon: float
) -> tuple[float, float]:
    """Means of e^(−C / ε) and of C e^(−C / ε) over pairs of which neither is among the nearest of the other, of evenly spread
    rows of both sides."""
    rows, columns = (
        np.linspace(0, len(side) - 1, min(len(side), _SAMPLED)).astype(np.int64) for side in (first, second)
    )
    cosine = (first[rows] @ second[columns].T).astype(np.float64)
    least = np.minimum(near[0].cosine[rows, -1][:, None], near[1].cosine[columns, -1][None])
    away = 1 - cosine[cosine < least]
    kernel = np.exp(-away / epsilon)
    return float(kernel.mean()), float((away * kernel).mean())


def _sinkhorn(s: np.ndarray | csr_array, k: float) -> tuple[np.ndarray, np.ndarray]:
    """u (n) and v (m): diag(u) (S + k) diag(v) has rows of 1 / n and columns of 1 / m."""
    n, m = s.shape
    u, v = np.full(n, 1 / n), np.full(m, 1 / m)
    for _ in range(ITERATIONS):
        reached = s @ v + k * v.sum()
        if np.abs(n * u * reached - 1).max() <= CONVERGED and _:
            break
        u = 1 / n / reached
        v = 1 / m / (s.T @ u + k * u.sum())
    return u, v
