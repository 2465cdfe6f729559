"""What the model would say if it ended earlier, and the gender that lenses read there."""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from crosslens.figures.style import BLUE, GREEN, GREY, ORANGE, heading, labelled, nothing, save, style, tidy
from crosslens.summary.names import language_name
from crosslens.summary.reading import Document

LENSES = {
    "logit": ("logit lens", BLUE, "o"),
    "tuned": ("tuned lens", ORANGE, "s"),
    "jacobian": ("Jacobian lens", GREEN, "^"),
}
FLOOR = 1e-3
"""Bits below which the axis is linear."""


def draw_lens_figure(*, readings: dict[str, Path], out: Path) -> None:
    """Write lens.png to the folder `out`. readings: language -> its document. Raises InputError where a field is missing."""
    documents = {language: Document(path, "lens_reading") for language, path in readings.items()}
    with style():
        figure = Figure(figsize=(4.9 * max(2, len(documents)), 8.6))
        grid = figure.subplots(3, len(documents), squeeze=False, sharex=True, sharey="row")
        for column, (language, doc) in zip(grid.T, documents.items(), strict=True):
            _bits(column[0], doc("bits"))
            column[0].set_title(f"{language_name(language)}\nbits from the model's last answer")
            if (gender := doc("gender")) is None:
                for axes in column[1:]:
                    nothing(axes)
            else:
                _difference(column[1], gender)
                _told(column[2], gender)
            column[2].set_xlabel("behind block")
            column[2].xaxis.set_major_locator(MaxNLocator(integer=True))
        handles = labelled(grid.flat)
        figure.legend(handles.values(), handles.keys(), loc="outside right upper")
        heading(figure, "What the model would say if it ended earlier", _note([*documents.values()]))
    out.mkdir(parents=True, exist_ok=True)
    save(figure, out / "lens.png", lens_table(documents))


def lens_table(documents: dict[str, Document]) -> pd.DataFrame:
    """A row a language, lens, measure and block: bits, difference (nats) and told (share), and what shuffled genders give."""
    rows = []
    for language, doc in documents.items():
        gender = doc("gender")
        of = {("bits", lens): doc("bits")[lens] for lens in ("logit", "tuned")}
        if gender is not None:
            of |= {
                ("difference", lens): [one["difference"] for one in gender["of"][lens]]
                for lens in ("logit", "tuned")
            }
            of |= {("told", lens): [one["told"] for one in gender["of"][lens]] for lens in LENSES}
            of |= {("null", "logit"): [one["null"] for one in gender["of"]["logit"]]}
        rows += [
            {"language": language, "measure": measure, "lens": lens, "block": block} | values
            for (measure, lens), line in of.items()
            for block, values in enumerate(line)
        ]
    return tidy(rows)


def _note(documents: list[Document]) -> str:
    counts = "; ".join(
        f"{language_name(doc('language'))} {doc('bits', 'tokens'):,} tokens"
        + (f", {_count(doc('gender'))}" if doc("gender") else "")
        for doc in documents
    )
    return (
        f"Test: {counts}. Bars: 95 % CI over groups. Grey: 95 % of what shuffled genders give (logit lens). The Jacobian lens "
        "has no nats, and stands in the last row alone."
    )


def _count(gender: dict[str, Any]) -> str:
    counts = gender["counts"]
    return f"{counts['female']} places of women, {counts['male']} of men"


def _line(axes: Axes, lens: str, records: list[dict[str, Any]]) -> None:
    """records: with value, low and high, block by block."""
    words, shade, marker = LENSES[lens]
    x = [i for i, of in enumerate(records) if of["value"] is not None]
    y = [records[i]["value"] for i in x]
    bars = [
        [max(0.0, y[n] - records[i]["low"]) if records[i]["low"] is not None else 0 for n, i in enumerate(x)],
        [
            max(0.0, records[i]["high"] - y[n]) if records[i]["high"] is not None else 0
            for n, i in enumerate(x)
        ],
    ]
    axes.errorbar(x, y, yerr=bars, color=shade, marker=marker, markersize=4, linewidth=1.3, label=words)


def _bits(axes: Axes, bits: dict[str, Any]) -> None:
    for lens in ("logit", "tuned"):
        _line(axes, lens, bits[lens])
    axes.set_yscale("symlog", linthresh=FLOOR)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("KL(model ‖ lens), bits")


def _difference(axes: Axes, gender: dict[str, Any]) -> None:
    for lens in ("logit", "tuned"):
        _line(axes, lens, [of["difference"] for of in gender["of"][lens]])
    band = [of["null"] for of in gender["of"]["logit"]]
    if all(of["low"] is not None for of in band):
        low, high = ([of[bound] for of in band] for bound in ("low", "high"))
        axes.fill_between(
            range(len(band)), low, high, color=GREY, alpha=0.35, linewidth=0, label="shuffled genders"
        )
    axes.axhline(0, color="#333333", linewidth=0.6)
    axes.set_title("log-odds of the female word, women less men")
    axes.set_ylabel("nats")


def _told(axes: Axes, gender: dict[str, Any]) -> None:
    for lens in LENSES:
        _line(axes, lens, [of["told"] for of in gender["of"][lens]])
    axes.axhline(0.5, color="#333333", linewidth=0.6)
    axes.set_ylim(-0.02, 1.02)
    paired = gender["places"] == "pairs"
    axes.set_title("pairs read the right way round" if paired else "women read above men (AUROC)")
    axes.set_ylabel("share")
