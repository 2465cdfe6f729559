"""Tables as data: columns that know their title and how they show a row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from typing import Any

from markupsafe import Markup

from crosslens.report.html import tag
from crosslens.report.numbers import interval, number
from crosslens.summary.names import corpus_name, in_groups, language_name, site_name
from crosslens.summary.tested import decided

Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """One column."""

    title: str
    """In words or markup; terms of the glossary are linked in it."""
    show: Callable[[Row], Any]
    """A row's cell: words or markup."""
    style: str = ""
    """Class of its cells: `n` for numbers, `words`; `row` for the heading of a row."""

    def head(self) -> Markup:
        """Its heading."""
        number = {"class_": "n"} if self.style == "n" else {}
        return tag("th", self.title, scope="col", **number)

    def cell(self, row: Row) -> Markup:
        """Its cell of one row."""
        if self.style == "row":
            return tag("th", self.show(row), scope="row")
        return tag("td", self.show(row), **({"class_": self.style} if self.style else {}))


def text(title: str, field: str, style: str = "") -> Column:
    """A field as it is."""
    return Column(title, lambda row: row[field], style)


def value(
    title: str,
    field: Any,
    digits: int = 3,
    *,
    bounds: tuple[str, str] | None = None,
    within: Sequence[Any] = (),
) -> Column:
    """A number, with the interval of the fields `bounds` behind it; `within`: the keys of the part of a row that has them."""

    def show(row: Row) -> Markup:
        part = reduce(getitem, within, row)
        behind = interval(part[bounds[0]], part[bounds[1]], digits) if bounds else ""
        return number(part[field], digits) + behind

    return Column(title, show, "n")


def bounded(title: str, field: str, within: Sequence[Any] = ()) -> Column:
    """A number with the interval of `{field}_low` and `{field}_high`."""
    return value(title, field, bounds=(f"{field}_low", f"{field}_high"), within=within)


def counted(title: str, images: str = "images", groups: str = "groups", within: Sequence[Any] = ()) -> Column:
    """A number of images, and of how many groups they are where that is fewer; within as above."""

    def show(row: Row) -> Markup:
        of = reduce(getitem, within, row)
        return number(of[images]) + in_groups(of[images], of[groups])

    return Column(title, show, "n")


def judged(title: str, field: str = "q", within: Sequence[Any] = ()) -> Column:
    """p or q of a record that may be of a family: "not tested" wherever the findings say so (`summary.tested`).

    Of one in no family that has a p, as of what is shown beside the claims, p is shown and there is no q.
    """

    def show(row: Row) -> Any:
        of = reduce(getitem, within, row)
        if of["q_family"] is None and of["p"] is not None:
            return number(of[field]) if field == "p" else ""
        return number(of[field]) if decided(of) else "not tested"

    return Column(title, show, "n")


def scored(title: str, *within: str, digits: int = 3) -> Column:
    """The `value` of a part of a row with the interval of its `low` and `high`; within: keys that lead to it. It may be None."""

    def show(row: Row) -> Markup:
        of = reduce(getitem, within, row)
        if of is None:
            return number(None)
        return number(of["value"], digits) + interval(of["low"], of["high"], digits)

    return Column(title, show, "n")


def site(title: str = "site") -> Column:
    """The heading of a row: where in the model."""
    return Column(title, lambda row: site_name(row["site"]), "row")


def sae(title: str = "SAE") -> Column:
    """The dictionary by its corpus."""
    return Column(title, lambda row: corpus_name(row["corpus"]))


def language(style: str = "") -> Column:
    """The language by its name."""
    return Column("language", lambda row: language_name(row["language"]), style)


class Table(Markup):
    """The markup of a table, which still knows what it shows."""

    name: str
    """Its class."""
    columns: Sequence[Column]
    rows: Sequence[Row]
    label: str
    """What it is of."""
    caption: str
    """What stands above it, if anything."""


def table(
    name: str,
    columns: Sequence[Column],
    rows: Sequence[Row],
    *,
    label: str,
    caption: str = "",
    chosen: Callable[[Row], bool] = lambda row: False,
) -> Table:
    """A table of class `name` in a region that scrolls. label: for those who do not see it; chosen: rows set off."""
    head = tag("thead", tag("tr", *(column.head() for column in columns))) if columns[-1].title else ""
    lines = [
        tag("tr", *(column.cell(row) for column in columns), **({"class_": "chosen"} if chosen(row) else {}))
        for row in rows
    ]
    shown = tag(
        "table",
        tag("caption", caption) if caption else "",
        head,
        "\n",
        tag("tbody", Markup("\n").join(lines)),
        class_=name,
    )
    made = Table(tag("div", shown, class_="wide", tabindex=0, role="region", aria_label=label))
    made.name, made.columns, made.rows, made.label, made.caption = name, columns, rows, label, caption
    return made
