"""Zarr v3 groups: sharded, compressed arrays that grow by whole rows; bfloat16 kept as its 16 bits."""

from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec

from crosslens.errors import InputError
from crosslens.tables.documents import SCHEMA, check_header

CHUNK_BYTES = 1 << 20


def create_group(path: Path, kind: str, **attributes: Any) -> zarr.Group:
    """A new Zarr v3 group at `path` whose attributes are the header and `attributes`."""
    return zarr.create_group(
        store=path, zarr_format=3, attributes={"schema": SCHEMA, "kind": kind, **attributes}
    )


def open_group(path: Path, kind: str, mode: str = "r") -> zarr.Group:
    """The group at `path`, its header checked."""
    try:
        group = zarr.open_group(store=path, mode=mode)
    except FileNotFoundError as error:
        raise InputError(
            path, found="no Zarr group", expected=f"a {kind} artifact", mend="rebuild it with snakemake"
        ) from error
    check_header(path, dict(group.attrs), kind)
    return group


def create_rows(
    group: zarr.Group, name: str, dtype: str, *, width: int | None = None, rows: int = 0, shard_bytes: int
) -> zarr.Array:
    """An array of `rows` rows, (rows,) or (rows, width), in chunks of whole rows of about 1 MiB, many to a shard."""
    row = np.dtype(dtype).itemsize * (width or 1)
    chunk = max(1, CHUNK_BYTES // row)
    shard = chunk * max(1, round(shard_bytes / (chunk * row)))
    tail = () if width is None else (width,)
    return group.create_array(
        name,
        shape=(rows, *tail),
        chunks=(chunk, *tail),
        shards=(shard, *tail),
        dtype=dtype,
        compressors=BloscCodec(cname="zstd", clevel=3, shuffle="shuffle", typesize=np.dtype(dtype).itemsize),
        fill_value=0,
    )


def write_column(group: zarr.Group, name: str, values: np.ndarray, shard_bytes: int = 64 << 20) -> None:
    """Write a whole one-dimensional array."""
    array = create_rows(group, name, values.dtype.str[1:], rows=len(values), shard_bytes=shard_bytes)
    if len(values):
        array[:] = values


def to_bfloat16_bits(values: np.ndarray) -> np.ndarray:
    """float32 (…) to the uint16 bits of the nearest bfloat16 (ties to even). NaN stays NaN, infinity infinity."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(0x7FC0), rounded)


def from_bfloat16_bits(bits: np.ndarray) -> np.ndarray:
    """uint16 bits of bfloat16 (…) to float32, exactly."""
    return (bits.astype(np.uint32) << 16).view(np.float32)
