"""Two builds of a study: which artifacts have the same bytes, and how far the numbers of the others lie apart."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import zarr
from safetensors import safe_open

from crosslens.errors import InputError
from crosslens.store.digests import content_digest
from crosslens.tables.arrays import from_bfloat16_bits


BLOCK = 1 << 22
"""Numbers that are compared at a time."""


class Difference(NamedTuple):
    """One file that is not the same in both."""

    path: str
    what: str
    """"only in A", "only in B", "numbers", "words or shape" or "other bytes" (no numbers are read of such files)."""
    largest: float | None = None
    """Of numbers: the largest absolute difference."""
    relative: float | None = None
    """‖b − a‖ / ‖a‖ of the numbers of the field or array that differs most by that; None where all of a are 0."""
    where: str = ""
    """That field or array."""


class Comparison(NamedTuple):
    """Of two folders."""

    same: int
    """Files with the same bytes."""
    differences: list[Difference]


def compare_results(a: Path, b: Path) -> Comparison:
    """Compare the folders results/STUDY of two checkouts, machines or times, file by file, links followed.

    Raises InputError for a folder that is not there or has no files.
    """
    files = [{path.relative_to(folder).as_posix(): path for path in _files(folder)} for folder in (a, b)]
    for folder, found in zip((a, b), files, strict=True):
        if not found:
            raise InputError(folder, found="no results", expected="the folder results/STUDY of a built study", mend="correct the path")
    ours, theirs = files
    found = [Difference(name, "only in A") for name in ours.keys() - theirs.keys()]
    found += [Difference(name, "only in B") for name in theirs.keys() - ours.keys()]
    same = 0
    for name in ours.keys() & theirs.keys():
        if content_digest(ours[name]) == content_digest(theirs[name]):
            same += 1
        else:
            found.append(_apart(name, ours[name], theirs[name]))
    return Comparison(same, sorted(found))


def _files(folder: Path) -> Iterator[Path]:
    """What is compared as one: files, and Zarr groups whole."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_dir() and path.suffix != ".zarr":
            yield from _files(path)
        else:
            yield path


def _apart(name: str, a: Path, b: Path) -> Difference:
    reader = _READERS.get(a.suffix)
    if reader is None:
        return Difference(name, "other bytes")
    ours, theirs = dict(reader(a)), dict(reader(b))
    if ours.keys() != theirs.keys() or any(_unlike(ours[key], theirs[key]) for key in ours):
        return Difference(name, "words or shape")
    measured = [(key, *_distance(ours[key], theirs[key])) for key in ours if _numeric(ours[key])]
    measured = [row for row in measured if row[1] > 0]
    if not measured:
        return Difference(name, "other bytes")
    where, _, relative = max(measured, key=lambda row: -1.0 if row[2] is None else row[2])
    return Difference(name, "numbers", max(row[1] for row in measured), relative, where)


def _numeric(values: Any) -> bool:
    return np.dtype(values.dtype).kind in "fiub"


def _blocks(a: Any, b: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Both as float64, some rows at a time: activations need not fit into memory."""
    if not a.shape:
        yield np.asarray(a[()], float), np.asarray(b[()], float)
        return
    step = max(1, BLOCK // max(1, int(np.prod(a.shape[1:]))))
    for start in range(0, a.shape[0], step):
        yield (np.asarray(of[start : start + step], float) for of in (a, b))


def _unlike(a: Any, b: Any) -> bool:
    """Other shapes, other words, or numbers where the other has none."""
    if a.shape != b.shape or _numeric(a) != _numeric(b):
        return True
    if _numeric(a):
        return any(bool((np.isnan(x) != np.isnan(y)).any()) for x, y in _blocks(a, b))
    return bool((a != b).any())


def _distance(a: Any, b: Any) -> tuple[float, float | None]:
    largest = squares = norm = 0.0
    for x, y in _blocks(a, b):
        apart = np.nan_to_num(y) - np.nan_to_num(x)
        largest = max(largest, float(np.abs(apart).max(initial=0)))
        squares, norm = squares + float(np.square(apart).sum()), norm + float(np.square(np.nan_to_num(x)).sum())
    return largest, (squares / norm) ** 0.5 if norm else None


def _of_json(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Numbers by their path without positions in lists, all of one in one array; words likewise."""
    numbers: dict[str, list[float]] = {}
    words: dict[str, list[str]] = {}

    def visit(value: Any, key: str) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                visit(inner, f"{key}.{name}" if key else name)
        elif isinstance(value, list):
            for inner in value:
                visit(inner, f"{key}[]")
        elif isinstance(value, float | int) and not isinstance(value, bool):
            numbers.setdefault(key, []).append(float(value))
        else:
            words.setdefault(key, []).append(str(value))

    visit(json.loads(path.read_text(encoding="utf-8")), "")
    yield from ((key, np.array(values)) for key, values in numbers.items())
    yield from ((f"{key} (words)", np.array(values, dtype=object)) for key, values in words.items())


def _of_table(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    for name, column in pd.read_parquet(path).items():
        values = column.to_numpy()
        yield str(name), values if _numeric(values) else np.array([str(value) for value in values], dtype=object)


class _Stored:
    """A Zarr array whose rows are read as numbers when they are asked for."""

    def __init__(self, array: zarr.Array, is_bfloat16: bool):
        self._array, self._is_bfloat16 = array, is_bfloat16
        self.shape, self.dtype = array.shape, np.dtype(np.float32) if is_bfloat16 else array.dtype

    def __getitem__(self, rows: Any) -> np.ndarray:
        values = np.asarray(self._array[rows])
        return from_bfloat16_bits(values) if self._is_bfloat16 else values


def _of_zarr(path: Path) -> Iterator[tuple[str, Any]]:
    group = zarr.open_group(path, mode="r")
    for name, array in group.arrays():
        is_bfloat16 = name == "values" and array.dtype == np.uint16 and group.attrs.get("dtype") == "bfloat16"
        yield name, _Stored(array, is_bfloat16)


def _of_weights(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 (no mapping)
            yield name, file.get_tensor(name).float().numpy()


_READERS = {".json": _of_json, ".parquet": _of_table, ".zarr": _of_zarr, ".safetensors": _of_weights}


def told(found: Comparison, shown: int = 40) -> str:
    """In lines: how many are the same, and the differences, the largest numbers first."""
    by = sorted(found.differences, key=lambda d: (d.what != "numbers", -(d.relative or 0), d.path))
    lines = [f"{found.same:,} files have the same bytes, {len(by):,} have not"]
    for of in islice(by, shown):
        size = "" if of.largest is None else f": at most {of.largest:.3g}, in {of.where}"
        size += "" if of.relative is None else f" {of.relative:.2g} of its norm"
        lines.append(f"{of.path}: {of.what}{size}")
    return "\n".join([*lines, *[f"… and {len(by) - shown:,} more"][: len(by) > shown]])
