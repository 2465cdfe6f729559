"""Shards of a Zarr array written chunk by chunk, as rows come: what Zarr itself writes in one go from a whole shard."""

import zlib
from pathlib import Path

import google_crc32c
import numpy as np
import zarr
from numcodecs import Blosc

_SHUFFLES = {"noshuffle": Blosc.NOSHUFFLE, "shuffle": Blosc.SHUFFLE, "bitshuffle": Blosc.BITSHUFFLE}
_ABSENT = 2**64 - 1
"""Offset and length of a chunk that a shard does not hold."""


class ShardWriter:
    """One shard of an array of `create_rows`, the bytes that Zarr writes of rows among which no chunk is all fill value.

    Encoding and writing keep pace with the rows, and one chunk is held; Zarr takes a shard whole, hands every chunk to a
    thread of its own and copies it on the way, at twice the cost of the compression.
    """

    def __init__(self, array: zarr.Array, number: int):
        (compressor,) = array.compressors
        settings = compressor.to_dict()["configuration"]
        self._blosc = Blosc.from_config(settings | {"shuffle": _SHUFFLES[settings["shuffle"]]})
        self._chunks = array.shards[0] // array.chunks[0]
        self._chunk = np.empty(array.chunks, dtype=array.dtype)
        self._fill_value, self._held = array.fill_value, 0
        self._sizes: list[int] = []
        self._checksum = 0
        self.path = Path(array.store.root, array.path, "c", str(number), *["0"] * (array.ndim - 1))
        self.unfinished = self.path.with_name(f"{self.path.name}.new")
        self.unfinished.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.unfinished.open("wb")

    def append(self, rows: np.ndarray) -> None:
        """Take rows (n, width) in the array's dtype, no more in all than the shard has."""
        while len(rows):
            if not self._held and len(rows) >= len(self._chunk):
                block, rows = rows[: len(self._chunk)], rows[len(self._chunk) :]
                self._encode(np.ascontiguousarray(block))
                continue
            room = len(self._chunk) - self._held
            block, rows = rows[:room], rows[room:]
            self._chunk[self._held : self._held + len(block)] = block
            self._held += len(block)
            if self._held == len(self._chunk):
                self._encode(self._chunk)
                self._held = 0

    def finish(self) -> int:
        """CRC-32 of the finished file, which lies at `unfinished`: putting it in its place is the caller's part."""
        if self._held:
            self._chunk[self._held :] = self._fill_value
            self._encode(self._chunk)
        index = np.full((self._chunks, 2), _ABSENT, dtype="<u8")
        sizes = np.array(self._sizes, dtype="<u8")
        index[: len(sizes)] = np.stack([np.cumsum(sizes) - sizes, sizes], axis=1)
        self._write(index.tobytes())
        self._write(google_crc32c.value(index.tobytes()).to_bytes(4, "little"))
        self._file.close()
        return self._checksum

    def _encode(self, chunk: np.ndarray) -> None:
        encoded = self._blosc.encode(chunk)
        self._sizes.append(len(encoded))
        self._write(encoded)

    def _write(self, data: bytes) -> None:
        self._checksum = zlib.crc32(data, self._checksum)
        self._file.write(data)
