"""What the written summary has: of every section of the page its findings, words and tables, and what it was read from."""

import copy
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from crosslens.questions import ALL, Question, of_section
from crosslens.report.build import modules_of
from crosslens.report.html import Folded, tag
from crosslens.report.links import PAGES
from crosslens.report.sections.base import Finding, Results, Section
from crosslens.report.table import Table
from crosslens.report.writing.numbers import Shape, activations, strongest

NOT_WRITTEN = {"live"}
"""Sections that a reader can only use, not read."""
KEPT = ("<p", "<h3", "<ul")
"""Beginnings of the pieces of a section that are words; pictures and cards are on the page alone."""
MORE = {"data": activations, "features": strongest}
"""Sections of which the summary has more tables."""
SHOWN = 3
"""Paths of one kind of artifact that are named."""


@dataclass(frozen=True)
class Part:
    """What one section of the page says."""

    section: Section
    pieces: Sequence[Markup]
    """Paragraphs, headings and tables, in their order."""
    files: dict[str, Table]
    """Its tables by the path of their CSV file below `tables/`."""
    read: Sequence[str]
    """What its numbers were read from: paths of artifacts, of the summary with the names of the records."""

    @property
    def findings(self) -> Sequence[Finding]:
        """Its main results."""
        return self.section.findings


@dataclass(frozen=True)
class Chapter:
    """All parts that answer one question."""

    question: Question
    parts: Sequence[Part]


class Asked(dict[str, Any]):
    """A dictionary that remembers for what it was asked."""

    def __init__(self, of: dict[str, Any]):
        super().__init__(of)
        self.asked: dict[str, None] = {}

    def __getitem__(self, key: str) -> Any:
        self.asked[key] = None
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """As of any dictionary."""
        return self[key] if key in self else default


def chapters(
    results: Results, sections: Sequence[str], shape: Shape, shown: dict[str, dict[str, str]]
) -> list[Chapter]:
    """By question, those to which something is said. shape: sizes of the model. shown: kind -> key -> path under results/."""
    parts: dict[str, list[tuple[str, Part]]] = {}
    taken: set[str] = set()
    for module in modules_of([name for name in sections if name not in NOT_WRITTEN]):
        name = module.__name__.rsplit(".", 1)[1]
        question = of_section(name)
        files, summary = Asked(results.files), copy.copy(results.summary)
        summary.fields = summary.fields | {"records": Asked(summary.fields["records"])}
        section = module.section(replace(results, files=files, summary=summary))
        if section is not None:
            pieces = [*_kept(section.body)]
            pieces += (("", table) for table in MORE[name](results, shape)) if name in MORE else ()
            tables = {
                _path(question, piece, title, taken): piece
                for title, piece in pieces
                if isinstance(piece, Table)
            }
            part = Part(
                section,
                [piece for _, piece in pieces],
                tables,
                _read(files, summary.fields["records"], shown),
            )
            parts.setdefault(question.name, []).append((name, part))
    return [
        Chapter(question, [part for _, part in sorted(parts[question.name], key=_place(question))])
        for question in ALL
        if question.name in parts
    ]


def _place(question: Question):
    """As the question names its sections; those that it does not name as they are on the page."""
    return lambda named: question.sections.index(named[0]) if named[0] in question.sections else 0


def _kept(body: Sequence[Any], folded: str = "") -> Iterator[tuple[str, Markup]]:
    """Words and tables, those that are folded behind their title; with each the title that it is folded behind."""
    for piece in body:
        if isinstance(piece, Folded):
            if inner := [*_kept(piece.content, piece.title)]:
                yield folded, tag("h3", piece.title)
                yield from inner
        elif isinstance(piece, Table) or (isinstance(piece, Markup) and piece.startswith(KEPT)):
            yield folded, piece


def _path(question: Question, table: Table, title: str, taken: set[str]) -> str:
    """A name of its own below `tables/`: the table's, and what it is folded behind."""
    said = re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")[:60]
    stem = f"{question.name}/{table.name}" + (f"_{said}" if said else "")
    path, number = f"{stem}.csv", 1
    while path in taken:
        number += 1
        path = f"{stem}_{number}.csv"
    taken.add(path)
    return path


def _read(files: Asked, records: Asked, shown: dict[str, dict[str, str]]) -> list[str]:
    names = [name for name in records.asked if records[name]]
    paths = [f"{shown['summary']['']} ({', '.join(names)})"] if names and "summary" in shown else []
    for kind in files.asked:
        of = list(shown.get(kind, {}).values()) if kind not in PAGES else []
        more = f" and {len(of) - SHOWN} more of the kind" if len(of) > SHOWN else ""
        paths += [", ".join(of[:SHOWN]) + more] if of else []
    return paths
