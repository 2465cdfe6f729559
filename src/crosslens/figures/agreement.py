"""Does the model go on as the gender that it has read asks?"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosslens.figures.style import colour, heading, nothing, save, style, tidy
from crosslens.summary.names import language_name, short_name
from crosslens.summary.reading import Document

SHARES = (
    ("agrees", (), "agrees\n(D > 0)"),
    ("own", ("both",), "own form\nlikelier\n(m > 0)"),
    ("own", ("female",), "of a\nwoman"),
    ("own", ("male",), "of a\nman"),
    ("alone", ("female",), "nothing read:\nfemale form\nlikelier"),
)
STRATA = {"distance": "words from the first gendered one", "pieces": "pieces of the longer form"}


def agreement_figure(*, agreement: dict[str, Path], out: Path) -> None:
    """Write agreement.png to the folder `out`. agreement: language -> its document.

    Raises InputError where a field is missing.
    """
    documents = {language: Document(path, "agreement") for language, path in agreement.items()}
    counts = [
        f"{short_name(language)} {doc('of', 'all', 'targets'):,} words of {doc('of', 'all', 'sentences'):,} sentences"
        for language, doc in documents.items()
    ]
    with style():
        figure = Figure(figsize=(12, 4.4))
        shares, *strata = figure.subplots(1, 1 + len(STRATA), width_ratios=(1.5, 1, 1))
        rows = {language: list(_shares(doc)) for language, doc in documents.items()}
        _points(shares, rows, [label for *_, label in SHARES])
        shares.set_title("Share of gendered words behind another")
        for axes, (by, title) in zip(strata, STRATA.items(), strict=True):
            found = {language: [*_of(doc, by)] for language, doc in documents.items()}
            names = {row["first"]: _name(row) for of in found.values() for row in of}
            order = sorted(names)
            placed = {
                language: [
                    next((row["agrees"] for row in of if row["first"] == first), None) for first in order
                ]
                for language, of in found.items()
            }
            _points(axes, placed, [names[first] for first in order])
            axes.set(title="Agrees with what was read (D > 0)", xlabel=title)
        shares.legend(loc="lower left")
        heading(
            figure,
            "Does the model go on as the gender that it has read asks?",
            f"{', '.join(counts)}. Bars: 95 % CI over sentences; dashed: chance. D compares one pair of forms behind the "
            "sentence of a woman and that of a man, and does not hang on how common the forms are; m > 0 does: that "
            "of the two the form that agrees is the likelier.",
        )
    out.mkdir(parents=True, exist_ok=True)
    save(figure, out / "agreement.png", agreement_table(documents))


def agreement_table(documents: dict[str, Document]) -> pd.DataFrame:
    """A row a language and share: of all words, and by each of the strata."""
    rows = [
        {"language": language, "by": "all", "share": " ".join([name, *within])}
        | doc("of", "all", name, *within)
        for language, doc in documents.items()
        for name, within, _ in SHARES
    ]
    rows += [
        {"language": language, "by": by, "share": "agrees", "first": row["first"], "last": row["last"]}
        | (row["agrees"] or {})
        for language, doc in documents.items()
        for by in STRATA
        for row in _of(doc, by)
    ]
    return tidy(rows)


def _shares(doc: Document) -> Iterator[dict[str, Any]]:
    for name, within, _ in SHARES:
        yield doc("of", "all", name, *within)


def _of(doc: Document, by: str) -> Iterator[dict[str, Any]]:
    return (row for row in doc("of", "all", "strata") if row["by"] == by)


def _name(row: dict[str, Any]) -> str:
    first, last = row["first"], row["last"]
    return f"{first}+" if last is None else f"{first}" if first == last else f"{first}–{last}"


def _points(axes: Axes, rows: dict[str, list[dict[str, Any] | None]], labels: list[str]) -> None:
    """A column of points for each label, a language beside the other."""
    if not labels:
        nothing(axes)
        return
    languages = [*rows]
    for i, (language, of) in enumerate(rows.items()):
        shift = 0.16 * (i - (len(languages) - 1) / 2)
        there = [(x + shift, share) for x, share in enumerate(of) if share and share["value"] is not None]
        axes.vlines(
            [x for x, _ in there],
            [share["low"] for _, share in there],
            [share["high"] for _, share in there],
            color=colour(language, languages),
            linewidth=1.5,
        )
        axes.plot(
            [x for x, _ in there],
            [share["value"] for _, share in there],
            "o",
            color=colour(language, languages),
            label=language_name(language),
        )
    axes.axhline(0.5, color="#555555", linestyle="--", linewidth=0.8)
    axes.set(ylim=(-0.02, 1.02), xlim=(-0.6, len(labels) - 0.4))
    axes.set_xticks(range(len(labels)), labels, fontsize=8 if len(labels) < 6 else 7)
