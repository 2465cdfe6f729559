"""The tokens an SAE is trained on: which rows, and their seeded order, in bounded memory."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crosslens.errors import InputError
from crosslens.tables.activations import Activations
from crosslens.tables.documents import read_table
from crosslens.tables.tokens import read_tokens

READ_ROWS = 8192


@dataclass(frozen=True)
class Source:
    """The selected rows of one language at one site."""

    language: str
    activations: Activations
    rows: np.ndarray
    """(M) int64, ascending: the rows of `activations` that are trained on."""
    sinks: int
    """Rows of the declared roles and the train split that were left out for their norm."""


def select_sources(
    *,
    datasets: Mapping[str, Path],
    tokens: Mapping[str, Sequence[Path]],
    activations: Mapping[str, Sequence[Path]],
    site: str,
    roles: Sequence[str],
    sink_factor: float | None,
) -> list[Source]:
    """Tokens of `roles` in samples of the split `train`, without sinks, language by language in their order.

    A sink has a norm above `sink_factor` times the median norm of the rows that roles and split select, over all
    languages; None keeps sinks. Raises InputError when files do not belong together or nothing is left.
    """
    stored = {language: Activations(activations[language]) for language in activations}
    chosen, norms = {}, {}
    for language, acts in stored.items():
        found = (acts.attributes["site"], acts.attributes["language"])
        if found != (site, language) or acts.d_model != next(iter(stored.values())).d_model:
            raise InputError(
                acts.paths[0],
                found=f"site {found[0]}, language {found[1]}, width {acts.d_model}",
                expected=f"site {site}, language {language}, the same width in all languages",
                mend="give the activations of this site, and of one model",
            )
        chosen[language] = _train_rows(datasets[language], tokens[language], acts, roles)
        norms[language] = acts.norms()[chosen[language]]
    together = np.concatenate(list(norms.values()))
    if not len(together):
        raise InputError(
            ", ".join(str(path) for path in datasets.values()),
            found="no token to train on",
            expected=f"tokens of the roles {', '.join(roles)} in samples of the split train",
            mend="check the roles, and the split column of the dataset",
        )
    limit = np.inf if sink_factor is None else sink_factor * float(np.median(together))
    return [
        Source(
            language,
            acts,
            chosen[language][norms[language] <= limit],
            sinks=int((norms[language] > limit).sum()),
        )
        for language, acts in stored.items()
    ]


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
    """The selected tokens, each exactly once an epoch, epoch after epoch, in an order fixed by `seed`.

    Blocks of `block_tokens` neighbouring selected rows (of all sources) are permuted; as many of them as make up
    `buffer_tokens` are read and their rows shuffled together. What comes at a position follows from the seed
    alone, so a stream can start anywhere by reading one buffer. A thread reads the next buffer while one is used:
    the memory is two buffers.
    """

    def __init__(self, sources: Sequence[Source], *, seed: int, block_tokens: int, buffer_tokens: int):
        self.sources, self.seed = list(sources), seed
        self.d_model = self.sources[0].activations.d_model
        self._blocks = [
            (source, start, min(start + block_tokens, len(source.rows)))
            for source in self.sources
            for start in range(0, len(source.rows), block_tokens)
        ]
        self._sizes = np.array([stop - start for _, start, stop in self._blocks])
        self._group = max(1, buffer_tokens // block_tokens)
        self._kept: dict[int, list[np.ndarray]] = {}

    def __len__(self) -> int:
        """Tokens an epoch."""
        return int(self._sizes.sum())

    def batches(self, size: int, *, start: int = 0) -> Iterator[np.ndarray]:
        """float32 (size, d) batches without end, from batch `start` on; one may run into the next epoch."""
        epoch, skip = divmod(start * size, len(self))
        held: list[np.ndarray] = []
        count = 0
        for buffer in self._buffers(epoch, skip):
            while len(buffer):
                taken, buffer = buffer[: size - count], buffer[size - count :]
                held.append(taken)
                count += len(taken)
                if count == size:
                    yield np.concatenate(held)
                    held, count = [], 0

    def head(self, count: int) -> np.ndarray:
        """float32 (min(count, M), d): the first tokens of the stream, a seeded sample of all."""
        return next(self.batches(min(count, len(self))))

    def _buffers(self, epoch: int, skip: int) -> Iterator[np.ndarray]:
        """Shuffled buffers from token `skip` of `epoch` on; while one is used, a thread reads the next."""
        plan = self._plan(epoch, skip)
        with ThreadPoolExecutor(1, thread_name_prefix="sae-prefetch") as pool:
            ahead = pool.submit(self._fill, *next(plan))
            for following in plan:
                buffer = ahead.result()
                ahead = pool.submit(self._fill, *following)
                yield buffer

    def _plan(self, epoch: int, skip: int) -> Iterator[tuple[int, int, int]]:
        """(epoch, number of the buffer in it, rows of it to leave out) from token `skip` of `epoch` on."""
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

    def _fill(self, epoch: int, number: int, skip: int) -> np.ndarray:
        """float32 (tokens, d): the blocks of one buffer, shuffled, without the first `skip` rows."""
        blocks = self._order(epoch)[number * self._group : (number + 1) * self._group]
        size = int(self._sizes[blocks].sum())
        target = np.random.default_rng([self.seed, epoch, number]).permutation(size)
        buffer = np.empty((size, self.d_model), dtype=np.float32)
        done = 0
        for block in blocks:
            for values in self._block(int(block)):
                buffer[target[done : done + len(values)]] = values
                done += len(values)
        return buffer[skip:]

    def _block(self, block: int) -> Iterable[np.ndarray]:
        """The rows of a block; where one buffer holds all blocks they are read once and kept."""
        if len(self._blocks) > self._group:
            return self._read(*self._blocks[block])
        if block not in self._kept:
            self._kept[block] = list(self._read(*self._blocks[block]))
        return self._kept[block]

    def _read(self, source: Source, start: int, stop: int) -> Iterator[np.ndarray]:
        """The selected rows start to stop of a source, a bounded stretch of stored rows at a time."""
        rows = source.rows[start:stop]
        for low in range(int(rows[0]), int(rows[-1]) + 1, READ_ROWS):
            wanted = rows[(rows >= low) & (rows < low + READ_ROWS)]
            if len(wanted):
                yield source.activations.read(int(wanted[0]), int(wanted[-1]) + 1)[wanted - wanted[0]]
