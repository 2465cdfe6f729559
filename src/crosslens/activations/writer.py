"""One site's Zarr group, written as rows come, with an index of whole shards that lets a killed run go on where it was.

Beside the group `<out>` stand `<out>.progress.json` (which shards are whole, with their checksums; replaced after the data
are on disk) and `<out>.norms` (their norms, so that these need not be read back out of a shared shard).
"""

import logging
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from crosslens.activations.disk import disk_errors
from crosslens.store.durable import checksum, read_sealed, replace_durably, sync, write_sealed
from crosslens.store.remove import remove
from crosslens.tables.activations import create_activations
from crosslens.tables.arrays import open_group
from crosslens.tables.shards import ShardWriter

log = logging.getLogger(__name__)


class SiteWriter:
    """Takes the rows of one site in order and leaves a finished activations group at `out`.

    Making one looks for what an earlier run has left: `next_row` says where to go on. Memory: one chunk, of about 1 MiB.
    """

    def __init__(
        self,
        out: Path,
        *,
        rows: int,
        d_model: int,
        dtype: str,
        shard_bytes: int,
        plan: str,
        attributes: dict[str, Any],
    ):
        """rows: N in the end. plan: digest of what decides the rows; an index of another plan is not used."""
        self.out, self.rows = Path(out), rows
        self.index = self.out.with_name(self.out.name + ".progress.json")
        self.norms = self.out.with_name(self.out.name + ".norms")
        self._identity = {
            "plan": plan,
            "rows": rows,
            "d_model": d_model,
            "dtype": dtype,
            "shard_bytes": shard_bytes,
            **attributes,
        }
        with disk_errors(self.out):
            self._shards = self._resume()
            if self._shards is None:
                self._create(d_model, dtype, shard_bytes, attributes)
            group = open_group(self.out, "activations", mode="r+")
            self._values, self._norm = group["values"], group["norm"]
            self.shard_rows = self._values.shards[0]
            self._keep_whole_shards()
        self.next_row = min(len(self._shards) * self.shard_rows, rows)
        self._shard: ShardWriter | None = None
        self._shard_norms: list[np.ndarray] = []

    @property
    def done(self) -> bool:
        """Nothing is left to append."""
        return self.next_row == self.rows

    def append(self, start: int, values: np.ndarray, norms: np.ndarray) -> None:
        """Add stored rows from `start` on: values (n, d) in the stored dtype, norms (n) float32.

        Rows that are already there are passed over; a gap is a ValueError.
        """
        skip = self.next_row - start
        if skip < 0:
            raise ValueError(f"{self.out}: rows from {start} given, {self.next_row} expected")
        while skip < len(values):
            room = min(self.shard_rows - self.next_row % self.shard_rows, self.rows - self.next_row)
            block = values[skip : skip + room]
            with disk_errors(self.out):
                self._shard = self._shard or ShardWriter(self._values, len(self._shards))
                self._shard.append(block)
            self._shard_norms.append(norms[skip : skip + room].copy())
            self.next_row += len(block)
            skip += len(block)
            if len(block) == room:
                self._finish_shard()

    def finish(self) -> None:
        """Write the norms into the group; ValueError when rows are missing."""
        if not self.done:
            raise ValueError(f"{self.out}: {self.next_row} of {self.rows} rows were given")
        with disk_errors(self.out):
            self._norm[:] = np.fromfile(self.norms, dtype=np.float32)

    def _finish_shard(self) -> None:
        """Make the shard and its norms durable, and then say so in the index."""
        norms = np.concatenate(self._shard_norms).tobytes()
        with disk_errors(self.out):
            values = self._shard.finish()
            replace_durably(self._shard.path, self._shard.unfinished)
            with self.norms.open("r+b") as file:
                file.seek(4 * len(self._shards) * self.shard_rows)
                file.write(norms)
                file.flush()
                os.fsync(file.fileno())
            self._shards.append({"values": values, "norms": zlib.crc32(norms)})
            self._write_index()
        self._shard, self._shard_norms = None, []

    def _create(self, d_model: int, dtype: str, shard_bytes: int, attributes: dict[str, Any]) -> None:
        for left in (self.index, self.norms, self.out):
            remove(left)
        create_activations(
            self.out, d_model=d_model, dtype=dtype, shard_bytes=shard_bytes, rows=self.rows, **attributes
        )
        for file in self._frame():
            sync(file)
        self.norms.write_bytes(b"")
        self._shards = []
        self._write_index()

    def _resume(self) -> list[dict[str, int]] | None:
        """The shards of the index, or None when there is no index of this plan."""
        found = read_sealed(self.index)
        if found is None or not self.norms.is_file():
            return None
        if found["frame"] != [checksum(file) for file in self._frame()]:
            log.warning("%s is damaged: starting afresh", self.out)
            return None
        if found["identity"] != self._identity:
            log.warning("%s belongs to other work: starting afresh", self.index)
            return None
        return found["shards"]

    def _keep_whole_shards(self) -> None:
        """Trust the index only as far as the files say the same, and remove all else, half-written files included."""
        for i, known in enumerate(self._shards):
            start, stop = i * self.shard_rows, min((i + 1) * self.shard_rows, self.rows)
            with self.norms.open("rb") as file:
                file.seek(4 * start)
                norms = zlib.crc32(file.read(4 * (stop - start)))
            if known != {"values": checksum(self._shard_path(i)), "norms": norms}:
                log.warning("%s: shard %d is damaged; computing from there", self.out, i)
                del self._shards[i:]
                self._write_index()
                break
        whole = {self._shard_path(i) for i in range(len(self._shards))}
        whole |= set(self._frame())
        for path in self.out.rglob("*"):
            if path.is_file() and path not in whole:
                path.unlink()
        os.truncate(self.norms, 4 * min(len(self._shards) * self.shard_rows, self.rows))

    def _shard_path(self, shard: int) -> Path:
        return self.out / "values" / "c" / str(shard) / "0"

    def _frame(self) -> list[Path]:
        """The files that say what the group is."""
        return [self.out / name / "zarr.json" for name in ("", "values", "norm")]

    def _write_index(self) -> None:
        frame = [checksum(file) for file in self._frame()]
        write_sealed(self.index, {"identity": self._identity, "frame": frame, "shards": self._shards})
