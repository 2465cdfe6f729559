"""Rank tests of two groups for many features at once, exact where a normal distribution would not do.

Units are single or come in pairs of one unit of either group. The statistic is T = U + W⁺: the Mann–Whitney U of the
singles and the Wilcoxon signed-rank sum of the pairs (Dubnicka, Blair & Hettmansperger 2002), so that a design without
pairs gives Mann–Whitney's test, and one of pairs alone Wilcoxon's. Its null is that of permutation: the labels of singles
in any order, the two labels of a pair in either.
"""

from typing import NamedTuple

import numpy as np
from scipy.signal import fftconvolve
from scipy.sparse import csc_array, csr_array
from scipy.special import gammainc, gammaincc, gammaln, ndtr

from crosslens.errors import InputError

EXACT_CELLS = 4_000_000
"""A distribution is enumerated where that takes at most so many additions; it is approximated where it takes more."""
_NEGLIGIBLE = 1e-15
"""Probability of what enumeration leaves out; no p is less."""


class Design(NamedTuple):
    """How n units are arranged: rows of the singles, and of the pairs their two rows."""

    singles: np.ndarray
    """(s) int64."""
    first: np.ndarray
    """(p) int64."""
    second: np.ndarray
    """(p) int64."""


def design_of(first: np.ndarray, groups: np.ndarray | None = None) -> Design:
    """The design of units of the first group and of the other; first (n) bool, two rows of one value of `groups` (n) are a pair.

    Raises InputError where more than two rows share a group, or two of the same label do.
    """
    n = len(first)
    if groups is None:
        return Design(np.arange(n), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
    names, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    ones = np.bincount(group, weights=first, minlength=len(names))
    if np.any((sizes > 2) | ((sizes == 2) & (ones != 1))):
        wrong = names[np.flatnonzero((sizes > 2) | ((sizes == 2) & (ones != 1)))[0]]
        raise InputError(
            "units of a test",
            found=f"several rows of one label in group {wrong}",
            expected="one row for each group and label",
            mend="average them first",
        )
    order = np.argsort(group, kind="stable")
    paired = order[sizes[group[order]] == 2].reshape(-1, 2)
    return Design(np.flatnonzero(sizes[group] == 1), paired[:, 0], paired[:, 1])


def rank_columns(values: csc_array) -> tuple[csc_array, np.ndarray]:
    """Mid-ranks of every column of a sparse matrix (n, F), without ever writing out the zeros.

    Returns (n, F) float64, the rank of an entry less the rank that the column's zeros share, and (F) that rank, from 1.
    """
    values = csc_array(values, copy=True)
    values.eliminate_zeros()
    n, width = values.shape
    column = np.repeat(np.arange(width), np.diff(values.indptr))
    order = np.lexsort((values.data, column))
    data, owner = values.data[order], column[order]
    starts = np.ones(len(data), dtype=bool)
    starts[1:] = (data[1:] != data[:-1]) | (owner[1:] != owner[:-1])
    run = np.cumsum(starts) - 1
    first = np.flatnonzero(starts)
    length = np.diff(np.append(first, len(data)))
    # 1-based position inside the column, averaged over the run of equal values
    rank = (first - values.indptr[owner[first]] + 1 + (length - 1) / 2)[run]
    zeros = (n - np.diff(values.indptr)).astype(np.float64)
    rank += np.where(data > 0, zeros[owner], 0.0)
    zero = np.bincount(owner, weights=data < 0, minlength=width) + (zeros + 1) / 2
    centred = np.empty(len(data))
    centred[order] = rank - zero[owner]
    return csc_array((centred, values.indices, values.indptr), shape=values.shape), zero


class RankTest:
    """The test of each column of `values` (n, F) between the units of `first` (n) bool and the others."""

    def __init__(self, values: csc_array, first: np.ndarray, design: Design):
        values = csr_array(values)
        self.design = design
        self.n_singles, self.n_first = len(design.singles), int(np.sum(first[design.singles]))
        self._singles, _ = rank_columns(csc_array(values[design.singles]))
        self._pairs = _signed_ranks(csc_array(values[design.first] - values[design.second]))
        self._mean, self.sd, self._skewness = self._moments()

    def _moments(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(F) each: mean of the singles' part, standard deviation and skewness of T under permutation."""
        n, m = self.n_singles, self.n_first
        raw = [np.asarray(self._singles.power(k).sum(axis=0)) / max(n, 1) for k in (1, 2, 3)]
        square = raw[1] - raw[0] ** 2
        cube = raw[2] - 3 * raw[0] * raw[1] + 2 * raw[0] ** 3
        variance = square * m * (n - m) / max(n - 1, 1) + np.asarray(self._pairs.power(2).sum(axis=0)) / 4
        third = cube * m * (n - m) * (n - 2 * m) / max((n - 1) * (n - 2), 1)
        sd = np.sqrt(np.where(variance > 1e-9, variance, 0.0))
        return m * raw[0], sd, np.divide(third, sd**3, out=np.zeros_like(sd), where=sd > 0)

    def statistic(self, first: np.ndarray) -> np.ndarray:
        """T less its mean under permutation, (F) or (F, P), for labels (n) or (n, P) of this design."""
        first = np.asarray(first, dtype=np.float64)
        mean = self._mean if first.ndim == 1 else self._mean[:, None]
        return (
            self._singles.T @ first[self.design.singles]
            - mean
            + self._pairs.T @ (first[self.design.first] - 0.5)
        )

    def p(self, *statistics: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """The least p that any labels could have given (F), and the two-sided p of each of `statistics`, (F) or (F, P).

        p: share of the permutations in which T is at least as far from its mean. Least p: Tarone (1990).
        """
        patterns = [(_doubled(self._singles, f), _doubled(self._pairs, f)) for f in range(len(self.sd))]
        keys = [singles.tobytes() + b"/" + pairs.tobytes() for singles, pairs in patterns]
        least, found = np.ones(len(keys)), [np.ones(statistic.shape) for statistic in statistics]
        last = null = None
        # what has the same ranks has the same null, which is large: one after the other, none is kept
        for f in sorted(range(len(keys)), key=keys.__getitem__):
            if self.sd[f] == 0:
                continue
            if keys[f] != last:
                last, null = keys[f], self._null(*patterns[f], self.sd[f], self._skewness[f])
            least[f] = null.least
            for p, statistic in zip(found, statistics, strict=True):
                p[f] = null.p(statistic[f])
        return least, found

    def _null(
        self, singles: np.ndarray, pairs: np.ndarray, sd: float, skewness: float
    ) -> "_Exact | _Approximate":
        parts = (_sums(singles, self.n_singles, self.n_first), _signed_sums(pairs))
        if parts[0] is None or parts[1] is None:
            return _Approximate(sd, skewness)
        return _Exact(*parts)


def _signed_ranks(differences: csc_array) -> csc_array:
    """Ranks of the sizes of what is not 0 in each column, with their signs."""
    differences.eliminate_zeros()
    ranks, zero = rank_columns(abs(differences))
    filled = np.diff(ranks.indptr)
    ranks.data += np.repeat(zero - (ranks.shape[0] - filled), filled)
    ranks.data *= np.sign(differences.data)
    return ranks


def _doubled(scores: csc_array, feature: int) -> np.ndarray:
    """Twice the scores of one column, which are integers, ascending; of signed ranks their sizes matter alone."""
    column = slice(scores.indptr[feature], scores.indptr[feature + 1])
    return np.sort(np.rint(2 * scores.data[column]).astype(np.int64))


class _Lattice(NamedTuple):
    """A distribution on integers."""

    start: int
    pmf: np.ndarray


def _sums(scores: np.ndarray, n: int, drawn: int) -> _Lattice | None:
    """The sum of `drawn` of n scores, drawn without replacement, of which those not in `scores` (m) are 0; None if dear.

    The number of j-subsets with each sum by recursion over the scores (Streitberg & Röhmel 1986), for all j that have any
    probability.
    """
    drawn, m = min(drawn, n - drawn), len(scores)
    if not drawn or not m:
        return _Lattice(0, np.ones(1))
    j = np.arange(max(0, drawn - (n - m)), min(m, drawn) + 1)
    log_weight = _log_choose(n - m, drawn - j) - _log_choose(n, drawn)
    above = np.cumsum(np.exp(log_weight + _log_choose(m, j))[::-1])[::-1]
    j, log_weight = j[above > _NEGLIGIBLE], log_weight[above > _NEGLIGIBLE]
    least, most = scores[0], int(j[-1])
    step = max(int(np.gcd.reduce(scores - least)), 1)
    offsets = (scores - least) // step
    width = int(offsets[-most:].sum()) + 1
    if m * most * width > EXACT_CELLS:
        return None
    subsets = np.zeros((most + 1, width))
    subsets[0, 0] = 1
    for offset in offsets:
        subsets[1:, offset:] += subsets[:-1, : width - offset]
    weighted = subsets[j] * np.exp(log_weight)[:, None]
    sums = j[:, None] * least + step * np.arange(width)
    there = weighted > 0
    start = int(sums[there].min())
    return _Lattice(start, np.bincount(sums[there] - start, weights=weighted[there]))


def _log_choose(n: int, k: np.ndarray | int) -> np.ndarray:
    return gammaln(n + 1) - gammaln(np.add(k, 1)) - gammaln(n - np.asarray(k) + 1)


def _signed_sums(ranks: np.ndarray) -> _Lattice | None:
    """The sum of those of `ranks` (q) that a fair coin gives a positive sign; None if dear."""
    sizes = np.abs(ranks)
    width = int(sizes.sum()) + 1
    if len(sizes) * width > EXACT_CELLS:
        return None
    pmf = np.zeros(width)
    pmf[0] = 1
    for size in sizes:
        pmf[size:] += pmf[: width - size].copy()
        pmf /= 2
    return _Lattice(0, pmf)


class _Exact:
    """Every value that T can have."""

    def __init__(self, singles: _Lattice, pairs: _Lattice):
        pmf = singles.pmf if len(pairs.pmf) == 1 else np.maximum(fftconvolve(singles.pmf, pairs.pmf), 0)
        values = np.flatnonzero(pmf > _NEGLIGIBLE**2)
        pmf = pmf[values] / pmf[values].sum()
        distance = np.abs(values - pmf @ values)
        order = np.argsort(distance)
        self._distance = distance[order]
        self._tail = np.append(np.cumsum(pmf[order][::-1])[::-1], 0.0)
        self.least = float(self.p(self._distance[-1] / 2))

    def p(self, statistic: np.ndarray) -> np.ndarray:
        at = np.searchsorted(self._distance, 2 * np.abs(statistic) - 1e-6)
        return np.clip(self._tail[at], _NEGLIGIBLE, 1.0)


class _Approximate:
    """Pearson's type III distribution of T's own mean, variance and skewness under permutation.

    The sum of many draws is near normal; what is left of the skewness of sparse features in unequal groups would make
    the far tail of the normal distribution too thin. With continuity correction.
    """

    least = 0.0

    def __init__(self, sd: float, skewness: float):
        self._sd, self._skewness = sd, abs(skewness)

    def p(self, statistic: np.ndarray) -> np.ndarray:
        z = np.maximum(np.abs(statistic) - 0.5, 0) / self._sd
        if self._skewness < 1e-3:
            return 2 * ndtr(-z)
        shape, step = 4 / self._skewness**2, 2 * z / self._skewness
        return gammaincc(shape, shape + step) + gammainc(shape, np.maximum(shape - step, 0))
