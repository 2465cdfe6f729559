"""Activations of one site, one language and one part: ragged rows without padding, and their norms."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import zarr

from crosslens.errors import InputError
from crosslens.tables.arrays import (
    attribute,
    create_group,
    create_rows,
    from_bfloat16_bits,
    open_array,
    open_group,
    read_rows,
    to_bfloat16_bits,
)
from crosslens.tables.roles import SINK_FACTOR

STORED = {"bfloat16": "uint16", "float32": "float32"}


def create_activations(
    path: Path, *, d_model: int, dtype: str, shard_bytes: int, rows: int = 0, **attributes
) -> zarr.Group:
    """An activations group to be filled: `values` (rows, d_model) and `norm` (rows). Without `rows` it grows by `resize`.

    `dtype` is "bfloat16" (stored as uint16 bits) or "float32"; float16 is refused because residuals overflow it.
    """
    group = create_group(path, "activations", d_model=d_model, dtype=dtype, **attributes)
    create_rows(group, "values", STORED[dtype], width=d_model, rows=rows, shard_bytes=shard_bytes, quick=True)
    create_rows(group, "norm", "float32", rows=rows, shard_bytes=shard_bytes)
    return group


def pack(values: np.ndarray, dtype: str) -> np.ndarray:
    """float32 (n, d) as it is stored."""
    return to_bfloat16_bits(values) if dtype == "bfloat16" else np.asarray(values, dtype=np.float32)


def unpack(stored: np.ndarray) -> np.ndarray:
    """What `pack` made, as float32."""
    return from_bfloat16_bits(stored) if stored.dtype == np.uint16 else stored


def sinks(norm: np.ndarray, usual: np.ndarray, factor: float | None = SINK_FACTOR) -> np.ndarray:
    """(N) bool: which norms (N) are above `factor` times the median of the norms `usual` (M); none where that is None."""
    if factor is None or not len(usual):
        return np.zeros(len(norm), dtype=bool)
    return norm > factor * np.median(usual)


class Activations:
    """Parts of one site read as one (N, d_model) matrix, a block of rows at a time."""

    def __init__(self, paths: Path | Sequence[Path]):
        self.paths = [Path(p) for p in ([paths] if isinstance(paths, str | Path) else paths)]
        self.groups = [open_group(path, "activations") for path in self.paths]
        self.attributes = dict(self.groups[0].attrs)
        whole = _, self.d_model, self.dtype = self._what(self.groups[0])
        self.d_in = self.d_model
        self._values = [open_array(group, "values") for group in self.groups]
        lengths = [values.shape[0] for values in self._values]
        self.starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        for path, group in zip(self.paths, self.groups, strict=True):
            if (found := self._what(group)) != whole:
                raise InputError(
                    path, found=found, expected=whole, mend="read the parts of one site of one model only"
                )

    @staticmethod
    def _what(group: zarr.Group) -> tuple[str, int, str]:
        """Site, width and dtype of a part."""
        return (
            attribute(group, "site", str),
            attribute(group, "d_model", int),
            attribute(group, "dtype", str),
        )

    def __len__(self) -> int:
        return int(self.starts[-1])

    def norms(self) -> np.ndarray:
        """(N) float32: the Euclidean norm of every row."""
        return np.concatenate([read_rows(open_array(group, "norm")) for group in self.groups])

    def read(self, start: int, stop: int) -> np.ndarray:
        """Rows start to stop as float32 (stop - start, d_model)."""
        return unpack(self.read_stored(start, stop))

    def read_stored(self, start: int, stop: int) -> np.ndarray:
        """Rows start to stop as they are stored: uint16 bits of bfloat16, or float32."""
        blocks = []
        for i, values in enumerate(self._values):
            low, high = max(start, int(self.starts[i])), min(stop, int(self.starts[i + 1]))
            if low < high:
                blocks.append(read_rows(values, low - int(self.starts[i]), high - int(self.starts[i])))
        if not blocks:
            return np.empty((0, self.d_model), dtype=STORED[self.dtype])
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


class Beside:
    """Two sites' activations of the same tokens as one matrix (N, d + d'): what a transcoder reads and writes."""

    def __init__(self, reads: Activations, writes: Activations):
        if not np.array_equal(reads.starts, writes.starts) or reads.dtype != writes.dtype:
            raise InputError(
                writes.paths[0],
                found=f"{len(writes)} rows of {writes.dtype} in {len(writes.paths)} parts",
                expected=f"{len(reads)} rows of {reads.dtype} in {len(reads.paths)} parts, those of {reads.paths[0]}",
                mend="give the activations of two sites of one extraction",
            )
        self.reads, self.writes = reads, writes
        self.paths, self.starts, self.dtype, self.attributes = (
            reads.paths,
            reads.starts,
            reads.dtype,
            reads.attributes,
        )
        self.d_in, self.d_model = reads.d_model, reads.d_model + writes.d_model

    def __len__(self) -> int:
        return len(self.reads)

    def norms(self) -> np.ndarray:
        """(N) float32: the norms of what is read."""
        return self.reads.norms()

    def read_stored(self, start: int, stop: int) -> np.ndarray:
        """Rows start to stop of both, side by side, as stored."""
        sides = (self.reads.read_stored(start, stop), self.writes.read_stored(start, stop))
        return np.concatenate(sides, axis=1)
