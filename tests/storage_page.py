"""docs/storage.md as data: what it says of every artifact, and what an artifact has that it does not say."""

import itertools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "storage.md"


@dataclass
class Table:
    """One table of the page."""

    titles: list[str]
    rows: list[list[str]] = field(default_factory=list)


def read_page() -> dict[tuple[str, str], Table]:
    """(name in bold above it, first title) to table; the name is empty where a section has none."""
    tables: dict[tuple[str, str], Table] = {}
    name, table = "", None
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            name = ""
        if found := re.match(r"\*\*`([^`]+)`\*\*", line):
            name = found[1]
        if not line.startswith("|"):
            table = None
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if table is None:
            table = Table(cells)
            assert (name, cells[0]) not in tables, f"two tables {name} {cells[0]}"
            tables[name, cells[0]] = table
        elif not set(line) <= set("|- "):
            assert len(cells) == len(table.titles), line
            table.rows.append(cells)
    return tables


def expand(cell: str) -> list[str]:
    """The names that a first cell stands for: `a`, `b.{c, d}` to a, b.c, b.d; `{any}` stays."""
    names = []
    for name in re.findall(r"`([^`]+)`", cell):
        pieces = re.split(r"\{([^{}]*,[^{}]*)\}", name)
        choices = [[x.strip() for x in p.split(",")] if i % 2 else [p] for i, p in enumerate(pieces)]
        names += ["".join(chosen) for chosen in itertools.product(*choices)]
    return names


def columns(tables: dict[tuple[str, str], Table], name: str, title: str) -> dict[str, str]:
    """Name to type of the columns, attributes, arrays or tensors of one artifact."""
    return {each: row[1] for row in tables[name, title].rows for each in expand(row[0])}


def fields(tables: dict[tuple[str, str], Table], kind: str) -> dict[str, str]:
    """Path to type of the fields of a JSON document, references followed."""
    rows = columns(tables, kind, "field")
    found = {path: type_ for path, type_ in rows.items() if not type_.startswith("= ")}
    for path in rows.keys() - found.keys():
        _, other, start = rows[path].split(" ")
        known = dict(found) if other == kind else fields(tables, other)
        below = {
            name: type_ for name, type_ in known.items() if re.match(re.escape(start) + r"(\.|\[|$)", name)
        }
        assert below, f"{kind} {path}: nothing is {start} in {other}"
        found |= {path + name.removeprefix(start): type_ for name, type_ in below.items()}
    return found


PLAIN = {
    "string": lambda v: isinstance(v, str),
    "int": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "float": lambda v: isinstance(v, float),
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "bool": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "object": lambda v: isinstance(v, dict),
    "list": lambda v: isinstance(v, list),
}


def is_of(value: Any, type_: str) -> bool:
    """Whether a value has a type of the page, such as `list of float or null, optional`."""
    for one in type_.removesuffix(", optional").split(" or "):
        if one.startswith("list of "):
            if isinstance(value, list) and all(PLAIN[one[8:]](item) for item in value):
                return True
        elif PLAIN[one](value):
            return True
    return False


Place = tuple[str, ...]


def segments(path: str) -> Place:
    """`a[].b` to a, [], b."""
    return tuple(path.replace("[]", ".[]").split("."))


def matches(row: Place, place: Place) -> bool:
    """Whether a path of the page, in which `{name}` is any key, is that of a value."""
    return len(row) == len(place) and all(
        a == b or (a.startswith("{") and b != "[]") for a, b in zip(row, place, strict=True)
    )


class Document:
    """Compares JSON documents of one kind with the page: `check` all of them, then ask for `unseen`."""

    def __init__(self, kind: str, types: dict[str, str]):
        self.kind = kind
        self.types = {segments(path): type_ for path, type_ in types.items()}
        self.seen: set[Place] = set()
        self.hollow: set[Place] = set()
        self.known: dict[Place, tuple[list[Place], bool]] = {}

    def _rows(self, place: Place) -> tuple[list[Place], bool]:
        """The rows of a value, and whether there are rows for what is within it."""
        if place not in self.known:
            rows = [row for row in self.types if matches(row, place)]
            longer = (row for row in self.types if len(row) > len(place))
            self.known[place] = rows, any(matches(row[: len(place)], place) for row in longer)
        return self.known[place]

    def check(self, value: Any, place: Place = ()) -> None:
        """Every value within has a row that says its path and its type."""
        if not place:
            value = {key: item for key, item in value.items() if key not in ("schema", "kind")}
        name = f"{self.kind} {'.'.join(place)}"
        rows, within = self._rows(place)
        for row in rows:
            assert is_of(value, self.types[row]), f"{name}: {value!r} is no {self.types[row]}"
        self.seen.update(rows)
        if value is None or value == [] or value == {}:
            self.hollow.add(place)
        assert rows or within, f"{name} is not in docs/storage.md"
        if not within or not isinstance(value, dict | list):
            assert rows, f"{name}: {value!r} is not in docs/storage.md"
            return
        for key, item in value.items() if isinstance(value, dict) else (("[]", item) for item in value):
            self.check(item, (*place, key))

    def unseen(self) -> list[str]:
        """Rows that no document has, except what is optional or within something empty."""
        return sorted(
            ".".join(row)
            for row, type_ in self.types.items()
            if row not in self.seen
            and not type_.endswith(", optional")
            and not any(matches(row[:i], place) for place in self.hollow for i in range(1, len(row)))
        )
