"""What it costs two languages to lose the directions of features: those of one language, shared ones, and random ones."""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosslens.figures.style import GREY, colour, heading, nothing, save, style, tidy
from crosslens.summary.names import short_name, site_name
from crosslens.summary.reading import Document

LINEAR = 1e-3
"""Nats a token within which the axes are linear; beyond, logarithmic."""


def draw_ablation_figure(*, ablation: Path, out: Path) -> None:
    """Write ablation.png to the folder `out`; ablation: JSON of that kind. Raises InputError where a field is missing."""
    document = Document(ablation, "ablation")
    out.mkdir(parents=True, exist_ok=True)
    figure = ablation_figure(document("pairs"), document("site"), document("groups"))
    save(figure, out / "ablation.png", ablation_table(document("pairs")))


def ablation_table(pairs: list[dict[str, Any]]) -> pd.DataFrame:
    """A row a feature and language whose cross-entropy is told."""
    return tidy(
        {"pair": "-".join(pair["languages"])}
        | {name: value for name, value in row.items() if name != "cost"}
        | {"captions": language, "cost": cost}
        for pair in pairs
        for row in pair["features"]
        for language, cost in row["cost"].items()
    )


def ablation_figure(pairs: list[dict[str, Any]], site: str, groups: int) -> Figure:
    """A panel per pair of languages, a point per feature; pairs: as in the document of kind ablation."""
    with style():
        figure = Figure(figsize=(6.4 * len(pairs), 5.6))
        for axes, pair in zip(figure.subplots(1, len(pairs), squeeze=False)[0], pairs, strict=True):
            _panel(axes, pair)
        heading(
            figure,
            f"Cross-entropy when a feature's direction is ablated, {site_name(site)}",
            f"A point is a feature, over n = {groups:,} pictures, texts or groups of them of test; chosen on select. Grey: "
            "random features that fire as often as one of a language and belong to neither. Above the diagonal the second "
            "language pays more, below it the first. Logarithmic beyond the dotted lines.",
        )
    return figure


def _panel(axes: Axes, pair: dict[str, Any]) -> None:
    languages, rows = pair["languages"], pair["features"]
    first, second = map(short_name, languages)
    if not rows:
        nothing(axes, "no feature was ablated")
        return
    kinds = [
        ("control", language, GREY, marker, f"as frequent as those of {short_name(language)}")
        for language, marker in zip(languages, "v^", strict=True)
    ]
    kinds += [("shared", None, "#111111", "x", "shared")]
    kinds += [
        ("specific", language, colour(language, languages), "o", f"of {short_name(language)}")
        for language in languages
    ]
    for role, language, shade, marker, words in kinds:
        some = [row["cost"] for row in rows if (row["role"], row["language"]) == (role, language)]
        x, y = ([cost[name]["value"] for cost in some] for name in languages)
        axes.scatter(
            x, y, s=22, marker=marker, color=shade, alpha=0.75, linewidths=0.8, label=f"{words} ({len(some)})"
        )
    values = [cost["value"] for row in rows for cost in row["cost"].values()]
    low, high = min(*values, -LINEAR), max(*values, LINEAR)
    axes.plot([low, high], [low, high], color="#333333", linewidth=0.8)
    for line in (axes.axhline, axes.axvline):
        line(0, color="#333333", linewidth=0.6)
        for edge in (-LINEAR, LINEAR):
            line(edge, color="#333333", linewidth=0.5, linestyle=":")
    for which in "xy":
        getattr(axes, f"set_{which}scale")("symlog", linthresh=LINEAR)
        axes.set(**{f"{which}lim": (1.3 * low, 1.3 * high)})
    axes.set(xlabel=f"{first}: nats a token more", ylabel=f"{second}: nats a token more")
    axes.legend(loc="best", fontsize=7.5, frameon=True, framealpha=0.75, edgecolor="none")
