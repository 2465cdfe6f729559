"""Tables as CSV: every number as the results have it, its interval in columns of its own."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from crosslens.report.build import results_of
from crosslens.report.table import Table
from crosslens.report.writing.contents import chapters
from crosslens.report.writing.words import words

EXACT = re.compile(r'<data value="([^"]*)">[^<]*</data>')
NUMBER = re.compile(rf'{EXACT.pattern}(?: <span class="ci">\[{EXACT.pattern}, {EXACT.pattern}\]</span>)?')
"""A number of crosslens.report.numbers, with its interval or without."""
BOUNDS = ("", " low", " high")


def write_tables(
    *,
    study: str,
    settings: dict[str, Any],
    source: dict[str, Any],
    sections: Sequence[str],
    shape: dict[str, int | None],
    absent: dict[str, str],
    files: dict[str, dict[str, Path]],
    out: Path,
) -> None:
    """Write every table of the summary to the folder `out`: `{question}/{table}.csv`; arguments as of `write_summary`."""
    results = results_of(study, settings, source, files, absent)
    out.mkdir(parents=True, exist_ok=True)
    for chapter in chapters(results, sections, shape, {}):
        for part in chapter.parts:
            for path, table in part.files.items():
                write_csv(table, out / path)


def write_csv(table: Table, path: Path) -> None:
    """The table as one line a row; an interval makes three columns, a number in words stands as it is exactly."""
    heads, columns = [], []
    for column in table.columns:
        cells = [_exact(column.show(row)) for row in table.rows]
        title, width = (
            words(column.title) or f"column {len(columns) + 1}",
            max((len(cell) for cell in cells), default=1),
        )
        heads += [f"{title}{bound}" for bound in BOUNDS[:width]]
        columns.append([[*cell, *[""] * (width - len(cell))] for cell in cells])
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_distinct(heads))
        writer.writerows([cell for cells in row for cell in cells] for row in zip(*columns, strict=True))


def _exact(shown: Any) -> list[str]:
    if not isinstance(shown, Markup):
        return [str(shown)]
    if number := NUMBER.fullmatch(shown):
        return [Markup(part).unescape() for part in number.groups() if part is not None]
    return [Markup(EXACT.sub(r"\1", shown)).striptags()]


def _distinct(heads: Sequence[str]) -> list[str]:
    """Columns of one title are told apart by a number."""
    found: dict[str, int] = {}
    named = []
    for head in heads:
        found[head] = found.get(head, 0) + 1
        named.append(head if found[head] == 1 else f"{head} ({found[head]})")
    return named
