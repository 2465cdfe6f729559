"""Linear centred kernel alignment (Kornblith et al. 2019), biased and unbiased, from the features."""

from typing import NamedTuple

import numpy as np
from scipy import stats

from crosslens.errors import InputError

KERNEL_ROWS = 6000
"""Up to so many samples a shuffle reorders the kernels (n, n), 288 MB each; beyond, it multiplies the features anew."""
GROUPS = 50
"""Of samples, at most, each of which the jackknife leaves out once."""
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
    diagonals = [np.square(side).sum(axis=1) for side in (x, y)]
    scales = [_unbiased(trace, side, side) for trace, side in zip(own, diagonals, strict=True)]
    found = {name: np.empty(1 + draws) for name in ("linear", "unbiased")}
    for i in range(1 + draws):
        order = rng.permutation(len(y)) if i else np.arange(len(y))
        cross = _cross(x, y[order]) if k is None else _reordered(k, m, order)
        found["linear"][i] = _ratio(cross, *own)
        found["unbiased"][i] = _ratio(_unbiased(cross, diagonals[0], diagonals[1][order]), *scales)
    return {name: WithNull(float(values[0]), values[1:]) for name, values in found.items()}


def cka_difference(
    x: np.ndarray, other: np.ndarray, y: np.ndarray, *, rng: np.random.Generator
) -> dict[str, float | None]:
    """How much more alike x (n, d) than other (n, e) is to y (n, f), by unbiased CKA: `value`, `low`, `high`, two-sided `p`.

    95 % interval and p: t of the jackknife over the samples, left out in GROUPS random groups (Efron and Tibshirani 1993,
    chapter 11). None for fewer than 8 samples and where a side does not vary. Memory: three kernels (n, n).
    """
    n = len(x)
    nothing = dict.fromkeys(("value", "low", "high", "p"))
    if n < 8:
        return nothing
    kernels = [side @ side.T for side, _ in (_centred(each, each) for each in (x, other, y))]
    for kernel in kernels:
        np.fill_diagonal(kernel, 0)

    def difference(keep: np.ndarray) -> float:
        k, m, t = kernels if len(keep) == n else (kernel[np.ix_(keep, keep)] for kernel in kernels)
        own = _of_kernels(t, t)
        return _ratio(_of_kernels(k, t), _of_kernels(k, k), own) - _ratio(
            _of_kernels(m, t), _of_kernels(m, m), own
        )

    value = difference(np.arange(n))
    groups = np.array_split(rng.permutation(n), min(n, GROUPS))
    left = np.array([difference(np.setdiff1d(np.arange(n), group)) for group in groups])
    if not np.isfinite([value, *left]).all():
        return nothing
    error = float(np.sqrt((len(groups) - 1) * left.var()))
    t = stats.t(len(groups) - 1)
    reach, p = error * t.ppf(0.975), 2 * t.sf(abs(value) / error) if error else float(value == 0)
    return {"value": value, "low": float(value - reach), "high": float(value + reach), "p": float(p)}


def _of_kernels(k: np.ndarray, m: np.ndarray) -> float:
    """As `_hsic`, of kernels (n, n) whose diagonals are 0; centred or not, it is the same."""
    n, first, second = len(k), k.sum(axis=0), m.sum(axis=0)
    whole = first.sum() * second.sum() / ((n - 1) * (n - 2))
    return float(np.vdot(k, m) + whole - 2 / (n - 2) * (first @ second))


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


def _hsic(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased HSIC of linear kernels, times n (n − 3), which every ratio cancels."""
    return _unbiased(_cross(x, y), *(np.square(side).sum(axis=1) for side in (x, y)))


def _unbiased(cross: float, first: np.ndarray, second: np.ndarray) -> float:
    """The same from tr(KL) and the diagonals (n) of K and L, of centred columns: the rows of a kernel add up to 0, and
    without its diagonal to less that."""
    n = len(first)
    if n < 4:
        return float("nan")
    both = first @ second
    return float(cross - both + first.sum() * second.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * both)


def _ratio(cross: float, first: float, second: float) -> float:
    return cross / float(np.sqrt(first * second)) if first > 0 and second > 0 else float("nan")
