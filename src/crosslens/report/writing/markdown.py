"""Words and tables as Markdown, as GitHub shows it; whatever is put into them stands there literally."""

import re
import unicodedata
from typing import Any

from markupsafe import Markup

from crosslens.report.table import Table
from crosslens.report.writing.words import words

ROWS = 40
"""Of a table; the rest is in its CSV file alone."""
LONGEST = 400
"""Letters of a cell."""
SIGNS = re.compile(r"([\\`*_<|~]|\](?=[(\[])|&(?=#?\w+;))")
"""What would be markup."""
TURNS = {*"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f"}
"""Signs that turn the direction of what follows."""


def literal(shown: Any, longest: int | None = None) -> str:
    """What is read of words or markup in one line, each sign for itself."""
    text = " ".join(words(shown).split())
    if longest and len(text) > longest:
        text = text[:longest] + "…"
    told = (
        f"U+{ord(sign):04X}" if sign in TURNS or unicodedata.category(sign) == "Cc" else sign for sign in text
    )
    return SIGNS.sub(r"\\\1", "".join(told))


def table_lines(table: Table, file: str) -> list[str]:
    """Its caption and the first ROWS of its rows; file: where all are, said where that is more."""
    heads = [literal(column.title) for column in table.columns]
    numbers = ["---:" if column.style == "n" else "---" for column in table.columns]
    rows = [[literal(column.show(row), LONGEST) for column in table.columns] for row in table.rows[:ROWS]]
    lines = [f"*{literal(table.caption or table.label)}*", ""]
    lines += [_row(heads), "|" + "|".join(numbers) + "|", *map(_row, rows), ""]
    if len(table.rows) > ROWS:
        lines += [f"The first {ROWS} of {len(table.rows):,} rows; all are in [{file}]({file}).", ""]
    return lines


def piece_lines(piece: Markup, file: str = "") -> list[str]:
    """A paragraph, heading, list or table; file: the table's."""
    if isinstance(piece, Table):
        return table_lines(piece, file) if piece.rows else []
    if piece.startswith("<ul"):
        items = re.findall(r"<li[^>]*>(.*?)</li>", piece, re.S)
        return [*(f"- {literal(Markup(item))}" for item in items), ""]
    text = literal(piece)
    return [f"**{text}**" if piece.startswith("<h3") else text, ""] if text else []


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
