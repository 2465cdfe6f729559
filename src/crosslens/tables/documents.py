"""JSON documents and parquet tables, each with a header that names its kind and schema version."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from crosslens.errors import InputError, words

SCHEMA = 1


def check_header(path: Path, header: Any, kind: str) -> None:
    """Raise InputError unless `header` says `{"schema": SCHEMA, "kind": kind}`."""
    found = {key: header.get(key) for key in ("schema", "kind")} if isinstance(header, dict) else header
    if found != {"schema": SCHEMA, "kind": kind}:
        raise InputError(
            path,
            found=f"header {found}",
            expected=f"schema {SCHEMA} and kind {kind!r}",
            mend="rebuild it with this version of crosslens, or name the right file",
        )


def damaged(path: Path, error: Exception) -> InputError:
    """What is said of a file that its reader makes nothing of."""
    return InputError(
        path,
        found=f"a damaged file ({words(error)})",
        expected="the file as it was written",
        mend="rebuild it with snakemake, or fetch it again",
    )


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def write_json(path: Path, kind: str, document: dict[str, Any]) -> None:
    """Write `document` with its header; NaN and infinity are refused (use None for what is undefined)."""
    text = json.dumps(
        {"schema": SCHEMA, "kind": kind, **document},
        ensure_ascii=False,
        indent=1,
        allow_nan=False,
        default=_plain,
    )
    Path(path).write_text(text + "\n", encoding="utf-8")


def read_json(path: Path, kind: str) -> dict[str, Any]:
    """The document at `path`, its header checked; InputError for what is no JSON."""
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise damaged(path, error) from error
    check_header(path, document, kind)
    return document


def write_table(path: Path, kind: str, table: pd.DataFrame) -> None:
    """Write `table` as zstd parquet with the header under the metadata key `crosslens`."""
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    header = json.dumps({"schema": SCHEMA, "kind": kind}).encode()
    arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), b"crosslens": header})
    pq.write_table(arrow, path, compression="zstd")


def read_table(path: Path, kind: str, columns: list[str] | None = None) -> pd.DataFrame:
    """The table at `path`, its header checked; InputError for what is no whole Parquet."""
    try:
        arrow = pq.read_table(path, columns=columns)
        header = json.loads((arrow.schema.metadata or {}).get(b"crosslens", b"null"))
        table = arrow.to_pandas()
    except FileNotFoundError:
        raise
    except Exception as error:  # of pyarrow, thrift and pandas: whatever broken bytes lead to
        raise damaged(path, error) from error
    check_header(path, header, kind)
    return table
