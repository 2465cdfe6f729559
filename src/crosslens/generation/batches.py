"""Work in batches that a killed run does not do again."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from crosslens.progress import Progress
from crosslens.tables.documents import read_table, write_table


def in_batches(
    parts: Path,
    rows: pd.DataFrame,
    size: int,
    make: Callable[[pd.DataFrame], pd.DataFrame],
    *,
    kind: str,
    progress: tuple[str, str],
) -> pd.DataFrame:
    """`make` of every `size` rows, one below the other. progress: what is counted, as title and unit.

    Finished batches are kept in the folder `parts`, as tables of `kind`, so that a killed run goes on where it was;
    the caller removes it when what they were made for is written.
    """
    parts.mkdir(exist_ok=True)
    starts = range(0, len(rows), size)
    names = [parts / f"{start:08d}.parquet" for start in starts]
    for stale in set(parts.iterdir()) - set(names):
        stale.unlink()
    done = sum(name.is_file() for name in names)
    title, unit = progress
    shown = Progress(title, len(rows), unit, start=min(done * size, len(rows)))
    for name, start in zip(names, starts, strict=True):
        if name.is_file():
            continue
        block = rows.iloc[start : start + size]
        unfinished = name.with_suffix(".partial")
        write_table(unfinished, kind, make(block))
        unfinished.replace(name)
        shown.update(len(block))
    return pd.concat([read_table(name, kind) for name in names], ignore_index=True)
