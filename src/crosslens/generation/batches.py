"""Work in batches that a killed run does not do again."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from crosslens.progress import Progress
from crosslens.store.durable import checksum, replace_durably
from crosslens.store.remove import remove
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

    Finished batches are kept in the folder `parts`, as tables of `kind` named by row and checksum, so that a killed run
    goes on where it was and with what is whole; the caller removes it when what they were made for is written.
    """
    parts.mkdir(exist_ok=True)
    starts = range(0, len(rows), size)
    done = {}
    for part in parts.iterdir():
        start, _, seal = part.stem.partition("-")
        if part.is_file() and start.isdigit() and int(start) in starts and seal == _seal(part):
            done[int(start)] = part
        else:
            remove(part)
    title, unit = progress
    shown = Progress(title, len(rows), unit, start=min(len(done) * size, len(rows)))
    for start in starts:
        if start in done:
            continue
        block = rows.iloc[start : start + size]
        unfinished = parts / f"{start:08d}.partial"
        write_table(unfinished, kind, make(block))
        done[start] = parts / f"{start:08d}-{_seal(unfinished)}.parquet"
        replace_durably(done[start], unfinished)
        shown.update(len(block))
    return pd.concat([read_table(done[start], kind) for start in starts], ignore_index=True)


def _seal(part: Path) -> str:
    return f"{checksum(part):08x}"
