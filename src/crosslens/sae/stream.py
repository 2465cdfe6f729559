"""The tokens SAEs are trained on: which rows, and their seeded order, in bounded memory."""

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from crosslens.errors import InputError
from crosslens.tables.activations import STORED, Activations, sinks, unpack
from crosslens.tables.documents import read_table
from crosslens.tables.tokens import read_tokens

READ_ROWS = 8192
NEIGHBOURS = 4096


@dataclass(frozen=True)
class Source:
    """The selected rows of one language at one site."""

    language: str
    activations: Activations
    rows: np.ndarray
    """(M) int64, ascending: the rows of `activations` that are trained on."""
    sinks: int
    """Rows of the declared roles and the train split that were left out for their norm."""


def select_source(
    *,
    language: str,
    dataset: Path,
    tokens: Sequence[Path],
    activations: Activations,
    roles: Sequence[str],
    sink_factor: float | None,
) -> Source:
    """Tokens of `roles` in samples of the split `train`, without sinks.

    A sink has a norm above `sink_factor` times the median norm of the rows that roles and split select; None keeps
    sinks. Raises InputError when files do not belong together or nothing is left.
    """
    rows = _train_rows(dataset, tokens, activations, roles)
    if not len(rows):
        raise InputError(
            dataset,
            found="no token to train on",
            expected=f"tokens of the roles {', '.join(roles)} in samples of the split train",
            mend="check the roles, and the split column of the dataset",
        )
    norms = activations.norms()[rows]
    kept = ~sinks(norms, norms, sink_factor)
    return Source(language, activations, rows[kept], sinks=int((~kept).sum()))


def _train_rows(dataset: Path, tokens: Sequence[Path], acts: Activations, roles: Sequence[str]) -> np.ndarray:
    """(M) int64 rows of one language with the roles, in train samples. One part's token table at a time."""
    table = read_table(dataset, "dataset", columns=["sample_id", "split"])
    split = dict(zip(table["sample_id"], table["split"], strict=True))
    if len(tokens) != len(acts.paths):
        raise InputError(
            dataset,
            found=f"{len(tokens)} parts of tokens and {len(acts.paths)} of activations",
            expected="as many of both",
            mend="give the same parts of both, in the same order",
        )
    rows = []
    for path, start, stop in zip(tokens, acts.starts[:-1], acts.starts[1:], strict=True):
        part = read_tokens(path)
        if len(part) != stop - start:
            raise InputError(
                path,
                found=f"{len(part)} tokens",
                expected=f"{stop - start}, one for each row of activations",
                mend="give tokens and activations of the same part",
            )
        unknown = [sample for sample in part.sample_ids if sample not in split]
        if unknown:
            raise InputError(
                path,
                found=f"sample {unknown[0]!r} ({len(unknown)} such)",
                expected=f"samples of {dataset}",
                mend="extract the activations of this dataset",
            )
        in_train = np.array([split[sample] == "train" for sample in part.sample_ids], dtype=bool)
        rows.append(start + np.flatnonzero(part.has_role(roles) & in_train[part.sample]))
    return np.concatenate(rows)


class TokenStream:
    """The selected tokens of one language, each exactly once an epoch, in an order fixed by `seed`.

    Blocks of `block_tokens` neighbouring selected rows are permuted; as many of them as fill half of `buffer_mb` are
    read and their rows shuffled together. What comes at a position follows from the seed alone, so a stream can be
    entered anywhere by reading one buffer.
    """

    def __init__(self, source: Source, *, seed: int, block_tokens: int, buffer_mb: float):
        self.source, self.seed = source, seed
        self.width = source.activations.d_model
        starts = np.arange(0, len(source.rows), block_tokens)
        self._blocks = [(start, min(start + block_tokens, len(source.rows))) for start in starts.tolist()]
        self._sizes = np.array([stop - start for start, stop in self._blocks])
        dtype = np.dtype(STORED[source.activations.dtype])
        half = buffer_mb * 2**19 / (self.width * dtype.itemsize)
        self._group = max(1, int(half / block_tokens))
        self._empty = np.empty((0, self.width), dtype=dtype)
        self._kept: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        """Tokens an epoch."""
        return int(self._sizes.sum())

    def plan(self, start: int) -> Iterator[tuple[int, int, int]]:
        """(epoch, number of the buffer in it, rows of it to leave out) from token `start` on, without end."""
        epoch, skip = divmod(start, len(self))
        while True:
            sizes = self._sizes[self._order(epoch)]
            for number, first in enumerate(range(0, len(sizes), self._group)):
                size = int(sizes[first : first + self._group].sum())
                if skip < size:
                    yield epoch, number, skip
                skip = max(0, skip - size)
            epoch += 1

    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, epoch]).permutation(len(self._blocks))

    def fill(self, epoch: int, number: int, skip: int) -> np.ndarray:
        """(tokens, d) as stored: the blocks of one buffer, shuffled, without the first `skip` rows."""
        blocks = self._order(epoch)[number * self._group : (number + 1) * self._group]
        size = int(self._sizes[blocks].sum())
        target = np.random.default_rng([self.seed, epoch, number]).permutation(size)
        buffer = np.empty((size, self.width), dtype=self._empty.dtype)
        done = 0
        for block in blocks:
            values = self._block(int(block))
            buffer[target[done : done + len(values)]] = values
            done += len(values)
        return buffer[skip:]

    def _block(self, block: int) -> np.ndarray:
        """The rows of a block; where one buffer holds all blocks they are read once and kept."""
        if len(self._blocks) > self._group:
            return self._read(*self._blocks[block])
        if block not in self._kept:
            self._kept[block] = self._read(*self._blocks[block])
        return self._kept[block]

    def _read(self, start: int, stop: int) -> np.ndarray:
        """The selected rows start to stop, a bounded stretch of stored rows at a time."""
        rows, found = self.source.rows[start:stop], [self._empty]
        for low in range(int(rows[0]), int(rows[-1]) + 1, READ_ROWS):
            wanted = rows[(rows >= low) & (rows < low + READ_ROWS)]
            if len(wanted):
                stored = self.source.activations.read_stored(int(wanted[0]), int(wanted[-1]) + 1)
                found.append(stored[wanted - wanted[0]])
        return np.concatenate(found)

    @cached_property
    def neighbour_correlation(self) -> dict[str, float]:
        """Mean cosine of successive centred tokens, as stored and as shuffled, in the first buffer."""
        shuffled = unpack(self.fill(0, 0, 0))[:NEIGHBOURS]
        stored = unpack(self._read(0, min(NEIGHBOURS, len(self.source.rows))))
        return {"stored": _neighbour_cosine(stored), "shuffled": _neighbour_cosine(shuffled)}


def _neighbour_cosine(x: np.ndarray) -> float:
    x = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
    norms = np.linalg.norm(x, axis=1).clip(1e-12)
    return float(((x[1:] * x[:-1]).sum(axis=1) / (norms[1:] * norms[:-1])).mean()) if len(x) > 1 else 0.0


class Window:
    """A stretch of a stream that moves forward, for several readers at nearly the same place.

    A thread reads the next buffer while one is used, so two are in memory.
    """

    def __init__(self, stream: TokenStream, start: int = 0):
        self.stream, self.waited = stream, 0.0
        self._plan = stream.plan(start)
        self._pieces: deque[np.ndarray] = deque()
        self._first = self._end = start
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="sae-prefetch")
        self._ahead: Future | None = None
        self._read_ahead()

    def _read_ahead(self) -> None:
        if self._ahead is None:
            self._ahead = self._pool.submit(self.stream.fill, *next(self._plan))

    def take(self, start: int, count: int) -> np.ndarray:
        """(count, d) as stored: the stream's tokens from `start` on, which must not have been dropped."""
        if start < self._first:
            raise IndexError(f"token {start} of the stream was dropped; the window begins at {self._first}")
        while self._end < start + count:
            self._read_ahead()
            began = time.perf_counter()
            piece = self._ahead.result()
            self.waited += time.perf_counter() - began
            self._ahead = None
            self._pieces.append(piece)
            self._end += len(piece)
        taken, at = [], self._first
        for piece in self._pieces:
            part = piece[max(0, start - at) : max(0, start + count - at)]
            if len(part):
                taken.append(part)
            at += len(piece)
        return np.concatenate(taken)

    def drop(self, before: int) -> None:
        """Forget the tokens before that one, and read on where there is room."""
        while self._pieces and self._first + len(self._pieces[0]) <= before:
            self._first += len(self._pieces.popleft())
        if len(self._pieces) <= 1:
            self._read_ahead()

    def close(self) -> None:
        """Stop reading."""
        self._pool.shutdown(cancel_futures=True)


class Mixture:
    """The order in which a corpus takes the tokens of its languages: in proportion to their numbers.

    What lies at a position follows from the position alone, and after an epoch each token of each language has come
    once, so that SAEs of several corpora can read the same streams at the same time.
    """

    def __init__(self, streams: Mapping[str, TokenStream]):
        self.sizes = {language: len(stream) for language, stream in streams.items()}
        self.total = sum(self.sizes.values())
        # the largest last, of equals the first
        self._order = sorted(self.sizes, key=self.sizes.__getitem__, reverse=True)[::-1]

    def before(self, position: int) -> dict[str, int]:
        """How many tokens of each language are among the first `position`; the largest takes what is left over."""
        counts, left, among = {}, position, self.total
        # each takes its share of what the earlier ones left, so that no count ever falls
        for language in self._order:
            counts[language] = left * self.sizes[language] // among
            left, among = left - counts[language], among - self.sizes[language]
        return counts


class Reader:
    """Windows on several streams, each entered where `starts` says."""

    def __init__(self, streams: Mapping[str, TokenStream], starts: Mapping[str, int]):
        self.windows = {language: Window(streams[language], start) for language, start in starts.items()}

    def tokens(self, mixture: Mixture, start: int, stop: int) -> np.ndarray:
        """(stop - start, d) as stored: tokens start to stop of the mixture, language by language."""
        first, last = mixture.before(start), mixture.before(stop)
        return np.concatenate(
            [
                self.windows[language].take(first[language], last[language] - first[language])
                for language in mixture.sizes
                if last[language] > first[language]
            ]
        )

    def drop(self, before: Mapping[str, int]) -> None:
        """Forget what lies before these places."""
        for language, place in before.items():
            self.windows[language].drop(place)

    @property
    def waited(self) -> float:
        """Seconds that somebody waited for tokens."""
        return sum(window.waited for window in self.windows.values())

    def close(self) -> None:
        """Stop reading."""
        for window in self.windows.values():
            window.close()
