"""Features that stand for one category: chosen on one half of the images, scored on the other, against chance."""

import math
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from crosslens.stats.fdr import benjamini_hochberg
from crosslens.stats.resampling import arrangements
from crosslens.stats.shuffles import SPECIALISTS
from crosslens.stats.tested import permutation_floor

MINIMUM_CATEGORIES = 2
CELLS = 1 << 21
"""Permutations × categories × features at once."""


def image_means(values: csr_array, image_ids: np.ndarray) -> tuple[csr_array, np.ndarray]:
    """Samples (n, F) averaged to images: (images, F) and the image ids (images), in order of first appearance."""
    ids, first, inverse, counts = np.unique(
        image_ids, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(first)
    place = np.empty(len(ids), dtype=np.int64)
    place[order] = np.arange(len(ids))
    average = csr_array(
        (1.0 / counts[inverse], (place[inverse], np.arange(len(image_ids)))), shape=(len(ids), len(image_ids))
    )
    return csr_array(average @ values), ids[order]


def find_specialists(
    select: csr_array,
    select_category: np.ndarray,
    test: csr_array,
    test_category: np.ndarray,
    *,
    seed: int,
    quantile: float = 0.5,
    threshold: float | None = None,
    permutations: int = SPECIALISTS,
) -> dict[str, Any]:
    """The best feature of every category, and how many categories would have one by chance (methods 5).

    `score = #(inside with f > tau) - #(outside with f > tau)` over images; a category has a specialist where the
    score on test is positive. The feature is the one with the best score on select out of *all* features (ties: the
    larger mean difference, then the lower id). tau is the `quantile` of the positive activations on select, or
    `threshold` where given. Null: the categories of the images are permuted within each half and choice and
    scoring are repeated; p = (1 + permutations with at least this score for this category) / (1 + permutations).

    select, test: (images, F) pooled activations; *_category: (images) strings, "" = no category (left out).
    """
    select, select_category = _labelled(select, select_category)
    test, test_category = _labelled(test, test_category)
    categories = np.intersect1d(select_category, test_category).tolist()
    document: dict[str, Any] = {
        "chosen_on": "select",
        "scored_on": "test",
        "images": {"select": select.shape[0], "test": test.shape[0]},
        "categories": categories,
        "found": None,
        "features": [],
    }
    if len(categories) < MINIMUM_CATEGORIES or select.nnz == 0:
        return {
            **document,
            "why_none": f"{len(categories)} categories with images in both halves; 2 are needed",
        }
    tau = float(np.quantile(select.data, quantile)) if threshold is None else threshold
    fires = {"select": _above(select, tau), "test": _above(test, tau)}
    labels = {
        "select": pd.Categorical(select_category, categories=categories).codes,
        "test": pd.Categorical(test_category, categories=categories).codes,
    }

    def found(select_codes: np.ndarray, test_codes: np.ndarray) -> tuple[np.ndarray, ...]:
        features, best = _choose(fires["select"], select, select_codes, len(categories))
        return features, best, *_score(fires["test"], test_codes, features)

    chosen, select_score, score, inside, outside = (
        of[0] for of in found(*(codes[None] for codes in labels.values()))
    )
    rng = np.random.default_rng(seed)
    null = np.empty((permutations, len(categories)), dtype=np.int64)
    step = max(1, CELLS // (len(categories) * select.shape[1]))
    for start in range(0, permutations, step):
        draws = [[rng.permutation(codes) for codes in labels.values()] for _ in null[start : start + step]]
        null[start : start + step] = found(*map(np.array, zip(*draws, strict=True)))[2]
    p = (1 + (null >= score).sum(axis=0)) / (1 + permutations)
    count, by_chance = int((score > 0).sum()), (null > 0).sum(axis=1)
    return {
        **document,
        "tau": tau,
        "tau_quantile": quantile if threshold is None else None,
        "permutations": permutations,
        "seed": seed,
        "found": count,
        "expected_by_chance": float(by_chance.mean()),
        "found_p": float((1 + (by_chance >= count).sum()) / (1 + permutations)),
        "least_p": least_p(by_chance, labels, len(categories)),
        "features": [
            {
                "category": category,
                "feature": int(chosen[c]),
                "specialist": bool(score[c] > 0),
                "score": int(score[c]),
                "score_select": int(select_score[c]),
                "inside": int(inside[c]),
                "n_inside": int((labels["test"] == c).sum()),
                "outside": int(outside[c]),
                "n_outside": int((labels["test"] != c).sum()),
                "score_by_chance": float(null[:, c].mean()),
                "p": float(p[c]),
                "q": float(q),
            }
            for (c, category), q in zip(enumerate(categories), benjamini_hochberg(p), strict=True)
        ],
    }


def least_p(by_chance: np.ndarray, labels: dict[str, np.ndarray], categories: int) -> float:
    """The least p of `found`: every category has a specialist, which draws `by_chance` (B) have as well, or equal orders alone.

    labels: half -> (n) category from 0, −1 for one that is not in both. Categories of the same sizes can change names, which
    changes nothing.
    """
    sizes = np.stack(
        [np.bincount(codes[codes >= 0], minlength=categories) for codes in labels.values()], axis=1
    )
    alike = math.prod(map(math.factorial, np.unique(sizes, axis=0, return_counts=True)[1].tolist()))
    ways = math.prod(arrangements(codes) for codes in labels.values())
    every = (1 + int((by_chance >= categories).sum())) / (1 + len(by_chance))
    return max(every, permutation_floor(len(by_chance), arrangements=ways // alike))


def _labelled(values: csr_array, category: np.ndarray) -> tuple[csr_array, np.ndarray]:
    kept = np.flatnonzero(category != "")
    return csr_array(values[kept]), category[kept]


def _above(values: csr_array, tau: float) -> csr_array:
    above = csr_array(values > tau)
    return above.astype(np.int32)


def _inside(fires: csr_array, codes: np.ndarray, categories: int) -> np.ndarray:
    """(B, categories, F): sums over the images of each category, in B drawings of the codes (B, n); -1 is no category."""
    draws, n = codes.shape
    draw, image = np.nonzero(codes >= 0)
    rows = draw * categories + codes[draw, image]
    ones = np.ones(len(rows), dtype=np.int32)
    one_hot = csr_array((ones, (rows, image)), shape=(draws * categories, n))
    return (one_hot @ fires).toarray().reshape(draws, categories, -1)


def _choose(
    fires: csr_array, values: csr_array, codes: np.ndarray, categories: int
) -> tuple[np.ndarray, np.ndarray]:
    """(B, categories) of codes (B, n): the feature with the best score of each category, and that score."""
    score = 2 * _inside(fires, codes, categories) - fires.sum(axis=0)
    best = score.max(axis=2)
    strength = _mean_difference(values, codes, categories)
    return np.where(score == best[:, :, None], strength, -np.inf).argmax(axis=2), best


def _score(
    fires: csr_array, codes: np.ndarray, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(B, categories) each: score, hits inside and hits outside of the features chosen for each category."""
    draws, categories = chosen.shape
    hits = fires[:, chosen.ravel()].toarray().reshape(-1, draws, categories)
    inside = (hits * (codes.T[:, :, None] == np.arange(categories))).sum(axis=0)
    outside = hits.sum(axis=0) - inside
    return inside - outside, inside, outside


def _mean_difference(values: csr_array, codes: np.ndarray, categories: int) -> np.ndarray:
    """(B, categories, F): mean activation inside minus mean outside."""
    sums = _inside(values, codes, categories)
    sizes = (codes[:, :, None] == np.arange(categories)).sum(axis=1)[:, :, None]
    outside = values.sum(axis=0) - sums
    return sums / np.maximum(sizes, 1) - outside / np.maximum(codes.shape[1] - sizes, 1)
