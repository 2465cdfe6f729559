"""Does a label move many values, beyond covariates? Partial correlations, by labels shuffled over units."""

from typing import NamedTuple

import numpy as np

from crosslens.stats.fdr import benjamini_hochberg
from crosslens.stats.resampling import shuffled_labels, units

_CELLS = 1 << 22
"""Values × shuffles held at once (32 MiB of float64)."""
_AT_ONCE = 512
_ALIKE = np.float32(1e-5)
_COUNTED = 200
"""Shuffles whose number of significant values is counted."""


class Partial(NamedTuple):
    """Of F values."""

    r: np.ndarray
    """(F) partial correlation with the label, NaN where nothing is left to correlate."""
    p: np.ndarray
    """(F) (1 + #{|r*| ≥ |r|}) / (1 + shuffles); NaN likewise."""
    q: np.ndarray
    """(F) Benjamini–Hochberg's over those that have a p; NaN elsewhere."""
    null: np.ndarray
    """(F, C) bool: what is significant under each of C shuffles."""


def partial_correlations(
    values: np.ndarray,
    label: np.ndarray,
    covariates: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    alpha: float,
    permutations: int,
    rng: np.random.Generator,
) -> Partial:
    """Correlation of each column of values (n, F) with label (n) bool, covariates (n, c) taken out of both.

    The shuffled labels have the covariates taken out too, so that r is compared with what it would be were the label
    dealt to units at random (Draper & Stoneman 1966; r is pivotal: Anderson & Robinson 2001). Where units of one of
    `groups` (n) differ in the label they change places among themselves only, and are compared about their own mean.
    """
    label = np.asarray(label, dtype=bool)
    group = units(len(label), groups)
    centre = _strata(group, label)
    basis = _basis(_centred(np.asarray(covariates, dtype=np.float64), centre))
    columns = np.column_stack([label, shuffled_labels(label, permutations, rng, groups)])
    # single precision and some at once, as units × shuffles are the most that is held
    directions = np.empty(columns.shape, dtype=np.float32)
    for start in range(0, columns.shape[1], _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        directions[:, some] = _unit(_without(_centred(columns[:, some].astype(float), centre), basis))
    own = _unit(_without(_centred(label[:, None].astype(float), centre), basis))[:, 0]
    features = values.shape[1]
    r, p = np.full((2, features), np.nan)
    null_p = np.full((features, min(permutations, _COUNTED)), np.nan)
    width = max(1, _CELLS // (1 + permutations))
    for start in range(0, features, width):
        left = _unit(_without(_centred(values[:, start : start + width].astype(float), centre), basis))
        size = np.abs(left.T.astype(np.float32) @ directions)
        ordered = np.sort(size[:, 1:], axis=1)
        for i in np.flatnonzero(np.linalg.norm(left, axis=0) > 0):
            # shuffles that deal the labels alike are ties
            above = permutations - np.searchsorted(ordered[i], size[i, : 1 + null_p.shape[1]] - _ALIKE)
            r[start + i], p[start + i] = own @ left[:, i], (1 + above[0]) / (1 + permutations)
            null_p[start + i] = above[1:] / permutations
    tested = ~np.isnan(p)
    q, null = np.full(features, np.nan), np.zeros(null_p.shape, dtype=bool)
    if tested.any():
        q[tested] = benjamini_hochberg(p[tested])
        null[tested] = benjamini_hochberg(null_p[tested]) <= alpha
    return Partial(r, p, q, null)


def _strata(group: np.ndarray, label: np.ndarray) -> np.ndarray:
    """(n) which units are compared: those of a group that has both labels, and all others."""
    number = np.bincount(group)
    mixed = np.bincount(group, label) % np.maximum(number, 1) > 0
    return np.unique(np.where(mixed[group], group, -1), return_inverse=True)[1]


def _centred(columns: np.ndarray, stratum: np.ndarray) -> np.ndarray:
    """Columns (n, c) less their means in each stratum (n)."""
    sums = np.zeros((stratum.max(initial=-1) + 1, columns.shape[1]))
    np.add.at(sums, stratum, columns)
    return columns - (sums / np.bincount(stratum)[:, None])[stratum]


def _basis(columns: np.ndarray) -> np.ndarray:
    """(n, k) orthonormal, of what columns (n, c) span."""
    left, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return left[:, sizes > 1e-9 * max(sizes.max(initial=0), 1)]


def _without(columns: np.ndarray, basis: np.ndarray) -> np.ndarray:
    return columns - basis @ (basis.T @ columns)


def _unit(columns: np.ndarray) -> np.ndarray:
    """Columns of length one; those of no length stay 0."""
    lengths = np.linalg.norm(columns, axis=0)
    there = lengths > 1e-9
    return np.where(there, columns / np.where(there, lengths, 1), 0)
