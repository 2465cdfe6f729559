"""Seeded resampling of units, and labels shuffled over units; a unit is an image, or the images of one group."""

from math import factorial, prod

import numpy as np


def stream(seed: int, *names: str) -> np.random.Generator:
    """A generator for one named purpose, so that one stage's draws do not move another's."""
    return np.random.default_rng([seed, *(byte for name in names for byte in (*name.encode(), 0))])


def units(n: int, groups: np.ndarray | None) -> np.ndarray:
    """(n) number, from 0, of the group of each of n rows; each row is its own without `groups` (n)."""
    return np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]


def bootstrap_weights(
    strata: np.ndarray, draws: int, rng: np.random.Generator, groups: np.ndarray | None = None
) -> np.ndarray:
    """(n, draws) float64: how often each row is drawn, resampling with replacement inside each stratum.

    strata: (n) labels. groups: (n) what is drawn together, each row by itself without them; a group's stratum is the set
    of its rows' labels, and every stratum keeps its number of groups in every draw.
    """
    group, stratum = _strata(np.asarray(strata), groups)
    weights = np.zeros((len(stratum), draws))
    for name in sorted(set(stratum.tolist())):
        rows = np.flatnonzero([one == name for one in stratum])
        weights[rows] = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=draws).T
    return weights[group]


def shuffled_labels(
    labels: np.ndarray, draws: int, rng: np.random.Generator, groups: np.ndarray | None = None
) -> np.ndarray:
    """(n, draws): `labels` (n) in a new order in every column.

    groups: (n) what belongs together. Labels go from group to group among those that have one label each, and from row
    to row inside a group that has several: the permutations under which groups that do not know their label, or rows of
    one group that do not, are exchangeable. Groups of different sizes may change places, so that only without groups, or
    with equal ones, every column has each label as often.
    """
    labels = np.asarray(labels)
    if groups is None:
        return rng.permuted(np.repeat(labels[:, None], draws, axis=1), axis=0)
    group, stratum = _strata(labels, groups)
    firsts = np.unique(group, return_index=True)[1]
    shuffled = np.repeat(labels[:, None], draws, axis=1)
    several = np.array([len(name) > 1 for name in stratum], dtype=bool)
    alone = np.flatnonzero(~several)
    moved = np.zeros((len(stratum), draws), dtype=labels.dtype)
    moved[alone] = rng.permuted(np.repeat(labels[firsts[alone]][:, None], draws, axis=1), axis=0)
    rows = ~several[group]
    shuffled[rows] = moved[group[rows]]
    for mixed in np.flatnonzero(several):
        inside = np.flatnonzero(group == mixed)
        shuffled[inside] = rng.permuted(shuffled[inside], axis=0)
    return shuffled


def arrangements(
    labels: np.ndarray, groups: np.ndarray | None = None, *, mirror: np.ndarray | None = None
) -> int:
    """How many orders `shuffled_labels` deals of `labels` (n).

    mirror: (n) labels with the two genders exchanged, for a statistic that is the same of both. Where these are one of the
    orders too, each order has another that cannot be told from it, and half as many count.
    """
    labels = np.asarray(labels)
    dealt = _dealt(labels, groups)
    ways = prod(_orders(labels) for labels in dealt)
    if mirror is None or ways == 1:
        return ways
    alike = zip(dealt, _dealt(np.asarray(mirror), groups), strict=True)
    return ways // 2 if all(np.array_equal(np.sort(a), np.sort(b)) for a, b in alike) else ways


def _dealt(labels: np.ndarray, groups: np.ndarray | None) -> list[np.ndarray]:
    """What changes places: one label of each group that has one, and the labels of each group that has several."""
    group, stratum = _strata(labels, groups)
    several = np.flatnonzero([len(name) > 1 for name in stratum])
    alone = np.array([name[0] for name in stratum if len(name) == 1], dtype=labels.dtype)
    return [alone, *(labels[group == mixed] for mixed in several)]


def _orders(labels: np.ndarray) -> int:
    """Orders of labels of which some are the same: the multinomial coefficient."""
    return factorial(len(labels)) // prod(map(factorial, np.unique(labels, return_counts=True)[1].tolist()))


def halves(
    strata: np.ndarray, draws: int, rng: np.random.Generator, groups: np.ndarray | None = None
) -> np.ndarray:
    """(n, draws) bool: a random half of each stratum's groups, as in `bootstrap_weights`; of an odd one either may be larger."""
    group, stratum = _strata(np.asarray(strata), groups)
    half = np.zeros((len(stratum), draws), dtype=bool)
    for name in sorted(set(stratum.tolist())):
        rows = np.flatnonzero([one == name for one in stratum])
        order = rng.permuted(np.repeat(np.arange(len(rows))[:, None], draws, axis=1), axis=0)
        half[rows] = order < len(rows) / 2 - rng.integers(0, 2, size=draws) / 2
    return half[group]


def _strata(labels: np.ndarray, groups: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """(n) number of each row's group, and (groups) object: the labels that a group has, ascending."""
    group = units(len(labels), groups)
    number = int(group.max()) + 1 if len(group) else 0
    found: list[set] = [set() for _ in range(number)]
    for row, label in zip(group, labels.tolist(), strict=True):
        found[row].add(label)
    names = np.empty(number, dtype=object)
    names[:] = [tuple(sorted(labels)) for labels in found]
    return group, names
