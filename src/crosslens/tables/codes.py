"""Sparse feature codes: what each stored token activates, as CSR rows on disk."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from crosslens.errors import InputError
from crosslens.tables.arrays import create_group, create_rows, open_array, open_group, read_rows, write_column


def write_codes(
    path: Path,
    blocks: Iterable[csr_array],
    *,
    token: np.ndarray,
    norm: np.ndarray,
    d_sae: int,
    shard_bytes: int = 64 << 20,
    **attributes,
) -> None:
    """Write CSR blocks (rows in the order of `token`) as a Zarr group of kind `codes`.

    token: (M) int64 rows of the concatenated token table that were encoded; norm: (M) float32 of their
    activations, by which sinks are told. Memory is bounded by one block.
    """
    group = create_group(path, "codes", d_sae=d_sae, **attributes)
    write_column(group, "token", token.astype("int64"), shard_bytes)
    write_column(group, "norm", norm.astype("float32"), shard_bytes)
    indices = create_rows(group, "indices", "int32", shard_bytes=shard_bytes)
    values = create_rows(group, "values", "float32", shard_bytes=shard_bytes)
    indptr = [np.zeros(1, dtype=np.int64)]
    shard = indices.shards[0]
    held: list[tuple[np.ndarray, np.ndarray]] = []
    written = pending = 0

    def flush(everything: bool) -> None:
        nonlocal held, written, pending
        count = pending if everything else pending // shard * shard
        if not count:
            return
        columns = [np.concatenate(parts) for parts in zip(*held, strict=True)]
        for array, column in zip((indices, values), columns, strict=True):
            array.resize((written + count,))
            array[written : written + count] = column[:count]
        held, written, pending = (
            [tuple(column[count:] for column in columns)],
            written + count,
            pending - count,
        )

    for block in blocks:
        indptr.append(indptr[-1][-1] + block.indptr[1:].astype(np.int64))
        held.append((block.indices.astype(np.int32), block.data.astype(np.float32)))
        pending += block.nnz
        if pending >= shard:
            flush(everything=False)
    flush(everything=True)
    write_column(group, "indptr", np.concatenate(indptr), shard_bytes)


class Codes:
    """The codes of one corpus, language and site, read in blocks of rows; InputError where they do not say how many features."""

    def __init__(self, path: Path):
        self.path = Path(path)
        group = open_group(path, "codes")
        self.attributes = dict(group.attrs)
        self.d_sae = self.attributes.get("d_sae")
        if type(self.d_sae) is not int or not 0 < self.d_sae < 1 << 31:
            raise InputError(
                path, found=f"d_sae {self.d_sae!r}", expected="the number of features", mend="encode again"
            )
        self.token = read_rows(open_array(group, "token"))
        self.norm = read_rows(open_array(group, "norm"))
        self.indptr = read_rows(open_array(group, "indptr"))
        self._indices, self._values = open_array(group, "indices"), open_array(group, "values")

    def __len__(self) -> int:
        return len(self.token)

    def rows(self, start: int, stop: int) -> csr_array:
        """Rows start to stop as float32 CSR (stop - start, d_sae)."""
        low, high = int(self.indptr[start]), int(self.indptr[stop])
        values, indices = read_rows(self._values, low, high), read_rows(self._indices, low, high)
        data = (values, indices, self.indptr[start : stop + 1] - low)
        return csr_array(data, shape=(stop - start, self.d_sae))

    def blocks(self, rows: int = 65536) -> Iterator[tuple[int, csr_array]]:
        """(first row, CSR block) one after the other, `rows` rows each."""
        for start in range(0, len(self), rows):
            yield start, self.rows(start, min(start + rows, len(self)))
