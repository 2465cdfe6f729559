"""Reading result files strictly: a file or field that is missing is an error that names it."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.lib

from crosslens.errors import InputError
from crosslens.tables.documents import read_json, read_table

_MEND = "rebuild it with snakemake"


class Document:
    """A result file whose fields are asked for by path: `doc("null", "mean")`."""

    def __init__(self, path: Path, kind: str):
        self.path = Path(path)
        if not self.path.is_file():
            raise InputError(self.path, found="no such file", expected=f"a {kind} document", mend=_MEND)
        try:
            self.fields = read_json(self.path, kind)
        except ValueError as error:
            raise InputError(
                self.path, found=f"no JSON ({error})", expected=f"a {kind} document", mend=_MEND
            ) from error

    def __call__(self, *keys: str) -> Any:
        """The value at `keys`; raises InputError where one of them is missing (None is a value)."""
        value: Any = self.fields
        for i, key in enumerate(keys):
            if not isinstance(value, dict) or key not in value:
                found = sorted(value) if isinstance(value, dict) else type(value).__name__
                raise InputError(
                    f"{self.path}: {'.'.join(keys[: i + 1])}",
                    found=f"no such field ({found})",
                    expected=f"the field {key}",
                    mend=_MEND,
                )
            value = value[key]
        return value

    def records(self, name: str) -> list[dict[str, Any]]:
        """A list of flat records; empty where what they tell was not measured."""
        return self.fields.get(name, [])


def read_parquet(path: Path, kind: str, columns: list[str]) -> pd.DataFrame:
    """Columns of a result table; raises InputError for a file or column that is missing."""
    if not Path(path).is_file():
        raise InputError(path, found="no such file", expected=f"a {kind} table", mend=_MEND)
    try:
        table = read_table(path, kind, columns)
    except pyarrow.lib.ArrowInvalid as error:
        raise InputError(path, found=error, expected=f"a {kind} table", mend=_MEND) from error
    missing = [column for column in columns if column not in table]
    if missing:
        raise InputError(path, found=f"no column {missing[0]}", expected=f"columns {columns}", mend=_MEND)
    return table


def split_key(key: str) -> tuple[str, str]:
    """`joint/en` to (corpus, language)."""
    corpus, slash, language = key.partition("/")
    if not (corpus and slash and language):
        raise InputError("key", found=key, expected="{corpus}/{language}", mend="name corpus and language")
    return corpus, language
