"""Features of one SAE in the place of those of another, and what matched features cost when they are ablated."""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosslens.figures.matching import LOOKS
from crosslens.figures.style import GREY, colour, heading, nothing, save, stacked, style, tidy
from crosslens.summary.names import short_name, site_name
from crosslens.summary.reading import Document

MARKERS = "osv^"
"""Of the languages of the captions."""


def draw_substitution_figure(*, substitution: Path, out: Path) -> None:
    """Write substitution.png to the folder `out`; substitution: JSON of that kind. Raises InputError where a field is missing."""
    document = Document(substitution, "substitution")
    out.mkdir(parents=True, exist_ok=True)
    save(
        substitution_figure(document("comparisons"), document("languages"), document("site")),
        out / "substitution.png",
        substitution_table(document("comparisons")),
    )


def substitution_table(comparisons: list[dict[str, Any]]) -> pd.DataFrame:
    """A row a point of a curve, and a row a feature that was ablated beside its partner."""
    whose = ("role", "language", "first", "second")
    points, features = (
        tidy({name: of[name] for name in whose} | row for of in comparisons for row in of[of_what])
        for of_what in ("curve", "features")
    )
    return stacked(curve=points, features=features)


def substitution_figure(comparisons: list[dict[str, Any]], languages: list[str], site: str) -> Figure:
    """Left: the share recovered over the number of features; right: what each costs in its own SAE, and its partner in the
    other. comparisons: as in the document of kind substitution."""
    with style():
        figure = Figure(figsize=(12.5, 5.2))
        curves, effects = figure.subplots(1, 2)
        for of in comparisons:
            _curve(curves, of, MARKERS[languages.index(of["language"]) % len(MARKERS)])
        recovered = [
            point["recovered"]["substituted"]["value"] for of in comparisons for point in of["curve"]
        ]
        if all(value is None for value in recovered):
            nothing(curves)
        else:
            curves.axhline(0, color="#333333", linewidth=0.6)
            curves.axhline(1, color="#333333", linewidth=0.6)
            curves.set(
                xscale="log",
                xlabel="features, the strongest first",
                ylabel="cross-entropy recovered by partners",
                ylim=(-0.55, 1.05),
                title="In each other's place",
            )
            curves.legend(fontsize=7.5, loc="lower left")
        for of in comparisons:
            if of["role"] == "languages":
                _effects(effects, of, languages)
        if not any(of["features"] for of in comparisons if of["role"] == "languages"):
            nothing(effects)
        else:
            effects.set(
                xlabel="ablated, nats a token more", ylabel="its partner ablated, nats a token more",
                title="One by one, SAEs of the two languages",
            )  # fmt: skip
            effects.legend(fontsize=7.5, loc="upper left")
        heading(
            figure,
            f"Do matched features do the same? {site_name(site)}",
            "Recovered: 0 as if ablated, 1 as if untouched; below −.5 not shown. Grey: partners shuffled. Bars: 95 % over "
            "pictures or texts of test; order and scale are those of select.",
        )
    return figure


def label(of: dict[str, Any]) -> str:
    """What was compared, in a few words."""
    language, other = short_name(of["first"].split("/")[0]), short_name(of["second"].split("/")[0])
    return {
        "languages": f"{other} features for {language} ones",
        "seeds": f"two seeds, {language}",
        "frozen": f"frozen decoders, {other} for {language}",
    }[of["role"]]


def _curve(axes: Axes, of: dict[str, Any], marker: str) -> None:
    shade, line, width = LOOKS[of["role"]]
    known = [point for point in of["curve"] if point["recovered"]["substituted"]["value"] is not None]
    axes.plot(
        [point["n"] for point in known],
        [point["recovered"]["substituted"]["value"] for point in known],
        line,
        color=shade,
        linewidth=width,
        marker=marker,
        markersize=4,
        label=label(of),
    )
    for point in known:
        bounds = point["recovered"]["substituted"]
        if bounds["low"] is not None:
            axes.plot([point["n"]] * 2, [bounds["low"], bounds["high"]], color=shade, linewidth=0.8)
    if of["role"] == "languages":
        mixed = [point for point in of["curve"] if point["recovered"]["shuffled"]["value"] is not None]
        axes.plot(
            [point["n"] for point in mixed],
            [point["recovered"]["shuffled"]["value"] for point in mixed],
            ":",
            color=GREY,
            linewidth=1.2,
        )


def _effects(axes: Axes, of: dict[str, Any], languages: list[str]) -> None:
    x, y = ([row["cost"][side]["value"] for row in of["features"]] for side in ("first", "second"))
    axes.scatter(
        x,
        y,
        s=22,
        color=colour(of["language"], languages),
        alpha=0.75,
        linewidths=0,
        label=f"{label(of)}, captions in {short_name(of['language'])} ({len(x)})",
    )
