"""Where the one right candidate stands among all, by cosine."""

from typing import Any

import numpy as np
from scipy.stats import rankdata

from crosslens.stats.means import paired_difference_interval, resampled_interval
from crosslens.stats.shares import share_interval
from crosslens.stats.shuffles import RETRIEVAL as PAIRINGS
from crosslens.stats.sign_flips import sign_flip_p

CUTOFFS = (1, 5)
FEWEST = 8
"""Units below which nothing is tested: the signs of seven differences give no p below .016, orders of few no finer ones."""
DIGITS = 12
"""Cosines are told apart by so many decimals: what float64 products resolve."""


def rank_all(queries: np.ndarray, candidates: np.ndarray, *, rows: int = 512) -> np.ndarray:
    """(n, m) float32 rank of each candidate for each query by cosine, 1 the best; tied ones share their mean rank.

    queries (n, d), candidates (m, d). Memory: the ranks and `rows` × m similarities.
    """
    # In float64: under one dominant channel all cosines are nearly 1.
    queries, candidates = _unit(queries.astype(np.float64)), _unit(candidates.astype(np.float64))
    found = np.empty((len(queries), len(candidates)), dtype=np.float32)
    for start in range(0, len(queries), rows):
        cosine = np.round(queries[start : start + rows] @ candidates.T, DIGITS)
        found[start : start + rows] = rankdata(-cosine, axis=1)
    return found


def _unit(values: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.where(norms > 0, norms, 1)


def scores(rank: np.ndarray) -> dict[str, np.ndarray]:
    """Name -> what each rank scores: 1 within the first 1 and 5, and 1 / rank."""
    rank = rank.astype(np.float64)
    return {f"r{cutoff}": (rank <= cutoff).astype(np.float64) for cutoff in CUTOFFS} | {"mrr": 1 / rank}


def found(ranks: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> dict[str, dict[str, float]]:
    """Mean scores of ranks (n, n), whose row i looks for candidate i: `value`, `low`, `high` and `p` of each.

    CI: 95 %, Wilson's of a share and of `mrr` (None of one query) queries resampled by `weights` (n, draws, sum 1) against
    all candidates.
    p: one-sided, of as many right ones where queries and candidates are paired at random; None below FEWEST units.
    """
    n = len(ranks)
    own = scores(np.diag(ranks))
    reached = dict.fromkeys(own, 1)
    for _ in range(PAIRINGS if n >= FEWEST else 0):
        for name, score in scores(ranks[np.arange(n), rng.permutation(n)]).items():
            reached[name] += score.sum() >= own[name].sum() - 1e-9
    return {
        name: (with_interval(score, weights) if name == "mrr" else _share(score))
        | {"p": float(reached[name] / (1 + PAIRINGS)) if n >= FEWEST else None}
        for name, score in own.items()
    }


def above(
    ranks: np.ndarray, others: np.ndarray, weights: np.ndarray, rng: np.random.Generator
) -> dict[str, dict[str, float]]:
    """What `ranks` scores more than `others`, both (n, n), unit by unit: `value`, `low`, `high` and two-sided `p`.

    CI: Bonett and Price's of shares, units resampled of `mrr`. p: permutation of the signs of the units' differences; None
    below FEWEST units.
    """
    mine, theirs = scores(np.diag(ranks)), scores(np.diag(others))
    told = {}
    for name in mine:
        differences = mine[name] - theirs[name]
        moved = differences[differences != 0]
        p = sign_flip_p(moved, rng, PAIRINGS) if len(moved) else 1.0
        told[name] = (
            with_interval(differences, weights)
            if name == "mrr"
            else _told(differences, *paired_difference_interval(differences))
        ) | {"p": p if len(ranks) >= FEWEST else None}
    return told


def _share(hits: np.ndarray) -> dict[str, float]:
    """Mean of `hits` (n), each 0 or 1; of none or all of them too there is an interval, which no resample would give."""
    return _told(hits, *share_interval(hits))


def with_interval(score: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    """Mean of `score` (n) and its 95 % interval, from resamples by `weights` (n, B)."""
    bounds = resampled_interval(score @ weights, len(score)) if len(score) > 1 else (None, None)
    return _told(score, *bounds)


def _told(score: np.ndarray, low: float | None, high: float | None) -> dict[str, float | None]:
    return {"value": float(score.mean()), "low": low, "high": high}
