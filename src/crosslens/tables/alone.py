"""Captions as they are read without their pictures: a mean for each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from crosslens.tables.arrays import attribute, create_group, create_rows, open_array, open_group, read_rows


class Alone(NamedTuple):
    """The captions of one language at one site."""

    values: np.ndarray
    """(n, d) float32; NaN where all of a caption's tokens are sinks."""
    sample_ids: list[str]
    """(n)."""
    sinks: int
    """Tokens left out for their norm."""
    attributes: dict[str, Any]
    """Site and model."""


def write_alone(
    path: Path, values: np.ndarray, sample_ids: Sequence[str], *, sinks: int, **attributes: Any
) -> None:
    """Write a Zarr group of kind `text_alone`: values (n, d) float32."""
    more = {"d_model": values.shape[1], "sample_ids": list(sample_ids), "sinks": sinks}
    group = create_group(path, "text_alone", **attributes, **more)
    array = create_rows(
        group, "values", "float32", width=values.shape[1], rows=len(values), shard_bytes=64 << 20
    )
    array[:] = values


def read_alone(paths: Sequence[Path]) -> Alone:
    """All parts, one after the other."""
    groups = [open_group(path, "text_alone") for path in paths]
    return Alone(
        np.concatenate([read_rows(open_array(group, "values")) for group in groups]),
        [sample_id for group in groups for sample_id in attribute(group, "sample_ids", list)],
        sum(attribute(group, "sinks", int) for group in groups),
        {"d_model": attribute(groups[0], "d_model", int)}
        | {name: attribute(groups[0], name, str) for name in ("site", "model", "revision")},
    )
