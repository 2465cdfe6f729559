"""Shares of pictures: intervals and tests in which a picture counts once, however many captions it has."""

from math import comb, factorial, prod
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from crosslens.stats.shuffles import SHARES as PERMUTATIONS
from crosslens.stats.sign_flips import EXACT_SIGN_FLIPS, sign_flip_p

_AT_ONCE = 1000
FEWEST = 5
"""Pictures of a category, and of the others, below which the spread within it is hardly known: with three that have a
gendered caption each, beside others that have sixteen, .05 is reached in .17 of the studies without any difference."""


class Tested(NamedTuple):
    """A p, and how small it can be."""

    p: float | None
    """None where there is nothing to test."""
    least_p: float | None
    """What p is where the data could not speak more plainly: above the level, nothing was tested."""


def difference_interval(
    first: tuple[float, float, float], second: tuple[float, float, float]
) -> tuple[float, float]:
    """Interval of the difference of two independent shares from their (value, low, high): Newcombe's (1998) MOVER."""
    (a, a_low, a_high), (b, b_low, b_high) = first, second
    return a - b - float(np.hypot(a - a_low, b_high - b)), a - b + float(np.hypot(a_high - a, b - b_low))


def against_half(shares: np.ndarray, rng: np.random.Generator) -> Tested:
    """Two-sided sign-flip test of shares (n) about .5."""
    n = len(shares)
    if not n:
        return Tested(None, None)
    # sign_flip_p enumerates up to EXACT_SIGN_FLIPS, and draws beyond
    least = 2.0 ** (1 - n) if n <= EXACT_SIGN_FLIPS else max(2.0 ** (1 - n), 1 / (1 + PERMUTATIONS))
    return Tested(sign_flip_p(shares - 0.5, rng, PERMUTATIONS), least)


def between(
    shares: np.ndarray, captions: np.ndarray, code: np.ndarray, categories: int, rng: np.random.Generator
) -> tuple[Tested, list[Tested]]:
    """Do the shares (n) of pictures hang on their category? All categories together, and each against the others.

    captions: (n) int behind each share, at least 1; code: (n) int category from 0. Pictures change places between categories,
    and bring no more captions than there were in the place (see `_moved`). Of one category the statistic is Welch's |t| of
    its pictures and all others. A share of one caption is 0 or 1, whatever the picture, and five such that agree have a large
    t: so where a category has fewer than half as many captions a picture as the others have, p is that of how far its mean
    is from that of all, where it is the larger. Of all, Fisher's sum of log p of the categories, whose null are the same
    permutations. A category with fewer than FEWEST pictures, or beside fewer, is not tested.
    """
    sizes, n = np.bincount(code, minlength=categories), len(shares)
    tested = np.flatnonzero((sizes >= FEWEST) & (n - sizes >= FEWEST))
    nothing = [Tested(None, None)] * categories
    if not len(tested):
        return Tested(None, None), nothing
    inside = (code == tested[:, None]).astype(np.float64)
    found = [_apart(inside, shares[:, None], shares.mean())]
    for start in range(0, PERMUTATIONS, _AT_ONCE):
        orders = np.repeat(np.arange(n)[:, None], min(_AT_ONCE, PERMUTATIONS - start), axis=1)
        moved = _moved(shares, captions, rng.permuted(orders, axis=0), rng)
        found.append(_apart(inside, moved, shares.mean()))
    # Of each draw, the observed one first: the share of all draws that are at least as large.
    apart = -np.concatenate(found, axis=2)
    of_t, of_mean = rankdata(apart, method="max", axis=2) / apart.shape[2]
    p = np.where(_few(inside, captions), np.maximum(of_t, of_mean), of_t)
    together = -np.log(p).sum(axis=0)
    least = 1 / (1 + PERMUTATIONS)
    for i, number in enumerate(tested):
        nothing[number] = Tested(float(p[i, 0]), max(least, 1 / comb(n, int(sizes[number]))))
    _, alike = np.unique(sizes, return_counts=True)
    ways = factorial(n) / prod(factorial(int(size)) for size in sizes) if n <= 150 else np.inf
    whole = Tested(
        float(np.mean(together >= together[0] - 1e-9)),
        float(max(least, min(1.0, prod(factorial(int(k)) for k in alike) / ways))),
    )
    return whole, nothing


def _moved(
    shares: np.ndarray, captions: np.ndarray, orders: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(n, B) shares of the pictures `orders` in the places of others, of as many of their captions as the place had at most."""
    places, theirs = np.broadcast_arrays(captions[:, None], captions[orders])
    moved = shares[orders].astype(np.float64)
    more = theirs > places
    female = np.rint(moved[more] * theirs[more]).astype(np.int64)
    moved[more] = rng.hypergeometric(female, theirs[more] - female, places[more]) / places[more]
    return moved


def _few(inside: np.ndarray, captions: np.ndarray) -> np.ndarray:
    """(C, 1) whether the pictures of a category have fewer than half the captions of the others, by the harmonic mean."""
    of_one, of_others = (rows @ (1 / captions) / rows.sum(axis=1) for rows in (inside, 1 - inside))
    return (of_one > 2 * of_others)[:, None]


def _apart(inside: np.ndarray, shares: np.ndarray, whole: float) -> np.ndarray:
    """(2, C, B) of each category: Welch's |t|, and how far its mean is from `whole`."""
    mean = inside @ shares / inside.sum(axis=1, keepdims=True)
    return np.round([_welch(inside, shares), np.abs(mean - whole)], 9)


def _welch(inside: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """(C, B) |t| of each category against all others: inside (C, n) 0 or 1, shares (n, B). Infinite without any spread."""
    n = inside.sum(axis=1)[:, None]
    m = inside.shape[1] - n
    total, squares = shares.sum(axis=0), np.square(shares).sum(axis=0)
    mine, mine_squared = inside @ shares, inside @ np.square(shares)
    spread = sum(
        np.maximum(squared - np.square(whole) / count, 0) / (count - 1) / count
        for whole, squared, count in ((mine, mine_squared, n), (total - mine, squares - mine_squared, m))
    )
    apart = np.abs(mine / n - (total - mine) / m)
    spread = np.where(spread < 1e-14, 0, spread)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(apart < 1e-12, 0.0, apart / np.sqrt(spread))
