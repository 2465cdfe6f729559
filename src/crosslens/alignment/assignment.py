"""Features of two dictionaries matched one to one by cosine, in memory that grows with the features and not their square."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

DENSE = 4096
"""Up to so many features a side the assignment is that of all cosines, 64 MiB; beyond, of each one's nearest."""
CANDIDATES = 16
"""Nearest features of each that may become its partner, looked for from both sides."""
_BLOCK = 1024
_GROUP = 32


class Nearest(NamedTuple):
    """The `CANDIDATES` nearest rows of another dictionary, best first."""

    index: np.ndarray
    """(n, c) int64."""
    cosine: np.ndarray
    """(n, c) float32."""


class Matched(NamedTuple):
    """A one-to-one matching, of as many pairs as the smaller dictionary has rows."""

    first: np.ndarray
    """(m) int64, ascending: rows of the first."""
    second: np.ndarray
    """(m) int64: their partners."""
    cosine: np.ndarray
    """(m) float64."""


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows (n, d) float32 of norm 1; a row of zeros stays."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(norms > 0, norms, 1)).astype(np.float32)


def nearest(first: np.ndarray, second: np.ndarray, count: int = CANDIDATES) -> tuple[Nearest, Nearest]:
    """Of each row of first (n, d) the nearest of second (m, d), and the other way round, by cosine; both of unit rows.

    One pass over the n × m cosines, of which a block of rows is held.
    """
    forth, back = [], _NOTHING
    reached = np.full(len(second), -np.inf, dtype=np.float32)
    for start in range(0, len(first), _BLOCK):
        block = first[start : start + _BLOCK] @ second.T
        hits = np.flatnonzero(block >= _bound(block, count, 1)[:, None])
        forth.append(_best(*np.divmod(hits, len(second)), block.ravel()[hits], count))
        # of a column only what is among the largest of this block and of all before it
        hits = np.flatnonzero(block >= np.maximum(_bound(block, count, 0), reached))
        row, column = np.divmod(hits, len(second))
        found = (column, row + start, block.ravel()[hits])
        back = _best(*(np.concatenate(both) for both in zip(back, found, strict=True)), count)
        if start + _BLOCK >= count:
            reached = back[2].reshape(len(second), -1)[:, -1]
    index, cosine = (np.concatenate([part[i] for part in forth]).reshape(len(first), -1) for i in (1, 2))
    return Nearest(index, cosine), Nearest(*(back[i].reshape(len(second), -1) for i in (1, 2)))


_NOTHING = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))


def _bound(values: np.ndarray, count: int, axis: int) -> np.ndarray:
    """A number that at least `count` values along an axis of values (n, m) reach, and few more: by the maxima of groups."""
    width = values.shape[axis]
    groups = width // _GROUP
    if groups < count:
        return np.full(values.shape[1 - axis], -np.inf, dtype=np.float32)
    whole = values[:, : groups * _GROUP] if axis else values[: groups * _GROUP]
    shape = (len(values), groups, _GROUP) if axis else (groups, _GROUP, values.shape[1])
    largest = whole.reshape(shape).max(axis=axis + 1)
    return np.partition(largest if axis else largest.T, groups - count, axis=1)[:, groups - count]


def _best(
    row: np.ndarray, column: np.ndarray, value: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The `count` largest values of each row, the rows ascending and the largest first, ties by the lower column."""
    order = np.lexsort((column, -value, row))
    row = row[order]
    place = np.arange(len(row)) - np.searchsorted(row, row)
    kept = order[place < count]
    return row[place < count], column[kept], value[kept]


def one_to_one(first: np.ndarray, second: np.ndarray, near: tuple[Nearest, Nearest]) -> Matched:
    """The matching of the rows of first (n, d) and second (m, d), of norm 1, with the largest sum of cosines.

    Of all pairs where neither has more than DENSE rows (Jonker and Volgenant 1987); of more, among the candidates `near`
    and, so that a whole matching is among them, the pairs of equal index (LAPJVsp on the sparse graph).
    """
    if max(len(first), len(second)) <= DENSE:
        rows, columns = linear_sum_assignment(first @ second.T, maximize=True)
    else:
        rows, columns = min_weight_full_bipartite_matching(_graph(first, second, near), maximize=True)
    return Matched(rows.astype(np.int64), columns.astype(np.int64), cosines(first, second, rows, columns))


def candidates(near: tuple[Nearest, Nearest]) -> tuple[np.ndarray, np.ndarray]:
    """(k) int64 row of the first and of the second of each pair of which one is among the nearest of the other, each once."""
    forth, back = near
    m = len(back.index)
    rows = np.concatenate([np.repeat(np.arange(len(forth.index)), forth.index.shape[1]), back.index.ravel()])
    columns = np.concatenate([forth.index.ravel(), np.repeat(np.arange(m), back.index.shape[1])])
    return np.divmod(np.unique(rows * m + columns), m)


def _graph(first: np.ndarray, second: np.ndarray, near: tuple[Nearest, Nearest]) -> csr_array:
    """(n, m) the candidates' cosines plus 2: an edge must not weigh 0."""
    rows, columns = candidates(near)
    both = np.arange(min(len(first), len(second)))
    kept = np.unique(np.concatenate([rows * len(second) + columns, both * (len(second) + 1)]))
    rows, columns = np.divmod(kept, len(second))
    weights = 2 + cosines(first, second, rows, columns)
    return csr_array(coo_array((weights, (rows, columns)), shape=(len(first), len(second))))


def cosines(first: np.ndarray, second: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(k) float64 cosines of chosen pairs of unit rows."""
    found = np.empty(len(rows))
    for start in range(0, len(rows), _BLOCK):
        at = slice(start, start + _BLOCK)
        found[at] = np.einsum("ij,ij->i", first[rows[at]], second[columns[at]], dtype=np.float64)
    return found.clip(-1, 1)
