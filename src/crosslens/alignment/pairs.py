"""Shuffled pairs of two languages, and many tests against them: p, q and how many chance would find."""

from collections.abc import Iterator
from math import factorial, inf, prod

import numpy as np
from scipy.sparse import csc_array, csr_array
from scipy.stats import rankdata

from crosslens.stats.correlation import pearson
from crosslens.stats.fdr import benjamini_hochberg
from crosslens.stats.nulls import null_band
from crosslens.stats.resampling import units
from crosslens.stats.shuffles import PAIRS as PERMUTATIONS

CELLS = 1 << 24
"""Draws × features held at once (128 MiB of float64)."""
_DIGITS = 10
"""Statistics are told apart by so many digits: sums of the same terms in another order are the same."""
_COLUMNS = 1 << 22
"""Tests × draws corrected at once."""


def shuffled_pairs(groups: np.ndarray, draws: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """(n) int64, `draws` times: n rows in random order, in which groups of as many rows change places, and a group's rows.

    groups: (n) rows of one value are no independent witnesses. What depends on the group alone keeps its multiplicity,
    so that two sides that have nothing to do with each other are exchangeable under these orders.
    """
    group = units(len(groups), groups)
    size = np.bincount(group)[group]
    rows = np.lexsort((group, size))
    blocks = [rows[size[rows] == width].reshape(-1, width) for width in np.unique(size)]
    for _ in range(draws):
        order = np.empty(len(group), dtype=np.int64)
        for block in blocks:
            order[block] = rng.permuted(block[rng.permutation(len(block))], axis=1)
        yield order


def orders_of(groups: np.ndarray) -> int:
    """How many orders `shuffled_pairs` draws from."""
    counts = np.bincount(units(len(groups), groups))
    sizes, number = np.unique(counts, return_counts=True)
    return prod(
        factorial(of) * factorial(size) ** of
        for size, of in zip(sizes.tolist(), number.tolist(), strict=True)
    )


def shared_p(
    first: csr_array, second: csr_array, groups: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Pearson's r (F) of the columns of two sides (n, F), and its p (1 + PERMUTATIONS, F) among shuffled pairs, one-sided.

    p is as of `permutation_p`. groups: as of `shuffled_pairs`. r is NaN where a column does not vary.
    """
    n, features = first.shape
    orders = [np.arange(n), *shuffled_pairs(groups, PERMUTATIONS, rng)]
    r, p = np.full(features, np.nan), np.ones((len(orders), features), dtype=np.float32)
    first, second = csc_array(first), csc_array(second)
    step = max(1, CELLS // max(n, len(orders)))
    for start in range(0, features, step):
        at = slice(start, min(start + step, features))
        x, y = csc_array(first[:, at]), second[:, at].toarray()
        column = np.repeat(np.arange(y.shape[1]), np.diff(x.indptr))
        # the moments of a side do not hang on its order: Σ x y alone ranks r
        sums = np.array(
            [np.bincount(column, x.data * y[order[x.indices], column], y.shape[1]) for order in orders]
        )
        p[:, at] = permutation_p(sums)
        r[at] = pearson(x.toarray(), y)
    return r, p


def permutation_p(statistics: np.ndarray) -> np.ndarray:
    """p (1 + B, F) of each of the statistics (1 + B, F), the observed first, among all that its test has: large is rare.

    p of the observed is (1 + draws that reach it) / (1 + B), and every draw is judged as if it had been observed.
    """
    scale = np.abs(statistics).max(axis=0, initial=0)
    rounded = np.round(statistics / np.where(scale > 0, scale, 1), _DIGITS)
    return (rankdata(-rounded, method="max", axis=0) / len(statistics)).astype(np.float32)


def beyond_chance(
    p: np.ndarray, alpha: float, arrangements: float = inf
) -> tuple[np.ndarray, dict[str, float | None]]:
    """q (F) of the observed p, and how many tests are below alpha: `found` beside `mean`, `q95` and `p` of the draws.

    p: (1 + B, F) as of `permutation_p`, of so many `arrangements`, by which `null_band` tells `least_p`. q is
    Benjamini-Hochberg's over F; a draw is corrected in the same way.
    """
    draws, tests = p.shape
    counts = np.zeros(draws, dtype=np.int64)
    q = np.ones(tests)
    step = max(1, _COLUMNS // max(tests, 1))
    for start in range(0, draws, step):
        corrected = benjamini_hochberg(p[start : start + step].T)
        counts[start : start + step] = (corrected <= alpha + 1e-9).sum(axis=0)
        if start == 0:
            q = corrected[:, 0]
    band = null_band(counts[1:].astype(np.float64), float(counts[0]), tails=1, arrangements=arrangements)
    return q, {"found": int(counts[0])} | {name: band[name] for name in ("mean", "q95", "p", "least_p")}
