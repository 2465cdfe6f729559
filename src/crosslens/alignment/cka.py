"""Linear centred kernel alignment (Kornblith et al. 2019), biased and unbiased, from the features."""

from typing import NamedTuple

import numpy as np

from crosslens.errors import InputError

KERNEL_ROWS = 6000
"""Up to so many samples a shuffle reorders the kernels (n, n), 288 MB each; beyond, it multiplies the features anew."""
_BLOCK = 512


def linear_cka(x: np.ndarray, y: np.ndarray) -> float:
    """Linear CKA ‖XᵀY‖² / (‖XᵀX‖ ‖YᵀY‖) of centred columns, in [0, 1]; NaN where a side does not vary.

    x (n, d1), y (n, d2): row i of both is the same sample. Invariant to rotation, to one scale and to an offset of a
    side. Biased upwards: of independent sides it tends to 1 as d grows beyond n; see `unbiased_cka`.
    """
    x, y = _centred(x, y)
    return _ratio(_cross(x, y), _cross(x, x), _cross(y, y))


def unbiased_cka(x: np.ndarray, y: np.ndarray) -> float:
    """CKA of the unbiased HSIC (Song et al. 2012, equation 5), at most 1 and around 0 for independent sides.

    x (n, d1), y (n, d2) as in `linear_cka`. It can be negative. NaN for fewer than 4 rows and where the estimate of a
    side with itself is not positive.
    """
    x, y = _centred(x, y)
    return _ratio(_hsic(x, y), _hsic(x, x), _hsic(y, y))


class WithNull(NamedTuple):
    """A CKA and what it is with the pairs shuffled."""

    value: float
    null: np.ndarray
    """(draws) float64."""


def shuffled_cka(
    x: np.ndarray, y: np.ndarray, *, draws: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """`linear` and `unbiased` CKA, (draws) float64 each, with the rows of `y` in random order: the null of the pairing."""
    return {name: found.null for name, found in cka_with_null(x, y, draws=draws, rng=rng).items()}


def cka_with_null(
    x: np.ndarray, y: np.ndarray, *, draws: int, rng: np.random.Generator
) -> dict[str, WithNull]:
    """`linear` and `unbiased` CKA beside their `shuffled_cka`, at the price of the null alone."""
    x, y = _centred(x, y)
    if len(x) <= KERNEL_ROWS:
        k, m = x @ x.T, y @ y.T
        own = float(np.vdot(k, k)), float(np.vdot(m, m))
    else:
        k = m = None
        own = _cross(x, x), _cross(y, y)
    scales = {"linear": own, "unbiased": (_hsic(x, x, own[0]), _hsic(y, y, own[1]))}
    found = {name: np.empty(1 + draws) for name in scales}
    for i in range(1 + draws):
        order = rng.permutation(len(y)) if i else np.arange(len(y))
        cross = _cross(x, y[order]) if k is None else _reordered(k, m, order)
        found["linear"][i] = _ratio(cross, *scales["linear"])
        found["unbiased"][i] = _ratio(_hsic(x, y[order], cross), *scales["unbiased"])
    return {name: WithNull(float(values[0]), values[1:]) for name, values in found.items()}


def _centred(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        raise InputError(
            "CKA",
            found=f"{x.shape} and {y.shape}",
            expected="two matrices of as many rows",
            mend="pair the samples",
        )
    x, y = x.astype(np.float64), y.astype(np.float64)
    return x - x.mean(axis=0), y - y.mean(axis=0)


def _cross(x: np.ndarray, y: np.ndarray) -> float:
    """‖XᵀY‖² = tr(KL), K = XXᵀ, L = YYᵀ."""
    return float(np.square(x.T @ y).sum())


def _reordered(first: np.ndarray, second: np.ndarray, order: np.ndarray) -> float:
    """tr(KL) with the samples of L in `order`, from the kernels (n, n)."""
    return sum(
        float(np.vdot(first[start : start + _BLOCK], second[order[start : start + _BLOCK]][:, order]))
        for start in range(0, len(order), _BLOCK)
    )


def _hsic(x: np.ndarray, y: np.ndarray, cross: float | None = None) -> float:
    """Unbiased HSIC of linear kernels, times n (n − 3), which every ratio cancels; `cross` is tr(KL) where known."""
    n = len(x)
    if n < 4:
        return float("nan")
    diagonal_x, diagonal_y = np.square(x).sum(axis=1), np.square(y).sum(axis=1)
    # K̃1 with the diagonal of K̃ set to 0; the columns are centred, so that K1 = 0
    sums_x, sums_y = -diagonal_x, -diagonal_y
    trace = (_cross(x, y) if cross is None else cross) - diagonal_x @ diagonal_y
    whole = sums_x.sum() * sums_y.sum() / ((n - 1) * (n - 2))
    return float(trace + whole - 2 / (n - 2) * (sums_x @ sums_y))


def _ratio(cross: float, first: float, second: float) -> float:
    return cross / float(np.sqrt(first * second)) if first > 0 and second > 0 else float("nan")
