"""Where in depth do two languages part and meet? Four measures over the layers."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosslens.figures.sites import runs, site_ticks
from crosslens.figures.style import BLUE, GREEN, ORANGE, PINK, heading, nothing, save, style, tidy
from crosslens.summary.names import pair_name, short_name
from crosslens.summary.reading import Document

MEASURES = {
    "transfer": "gender transfers (AUROC)",
    "cosine": "gender directions (cosine)",
    "cka": "same captions (unbiased CKA)",
    "retrieval": "translations found (R@1)",
}
OF = {
    "prompt": "before the caption",
    "caption": "caption",
    "text": "prompt and caption",
    "caption_whole": "caption, label words kept",
    "alone": "caption without its picture",
}
SHADES = (BLUE, ORANGE, GREEN, PINK)


def draw_divergence_figure(*, divergence: Path, out: Path) -> None:
    """Write divergence.png to the folder `out`."""
    document = Document(divergence, "divergence")
    out.mkdir(parents=True, exist_ok=True)
    figure = divergence_figure(document("series"), document("sites"))
    save(figure, out / "divergence.png", divergence_table(document("series")))


def divergence_table(series: list[dict[str, Any]]) -> pd.DataFrame:
    """A row a line and site."""
    lines = ("source", "target", "measure", "of")
    return tidy({name: of[name] for name in lines} | point for of in series for point in of["points"])


def divergence_figure(series: list[dict[str, Any]], sites: list[str]) -> Figure:
    """A row per pair of languages, a panel per measure; series: as in the document of kind divergence."""
    pairs = list(dict.fromkeys((of["source"], of["target"]) for of in series if of["measure"] == "cka"))
    measures = [name for name in MEASURES if any(of["measure"] == name for of in series)]
    with style():
        figure = Figure(figsize=(3.9 * max(len(measures), 2), 1.6 + 3.4 * max(len(pairs), 1)))
        grid = figure.subplots(max(len(pairs), 1), max(len(measures), 1), squeeze=False)
        for row, pair in zip(grid, pairs, strict=False):
            for axes, measure in zip(row, measures, strict=True):
                own = [
                    of
                    for of in series
                    if of["measure"] == measure and {of["source"], of["target"]} == set(pair)
                ]
                _panel(axes, own, sites)
                axes.set_title(f"{' and '.join(map(short_name, pair))}: {MEASURES[measure]}", fontsize=9)
        if not series:
            nothing(grid[0][0])
        heading(
            figure,
            "Where the languages part and meet",
            "Bands: 95 % by random halves of the pictures or texts, train and test; of R@1 as in its own "
            "section. Triangles: the largest and the smallest "
            "of a line. Thin dotted, in its colour: what chance gives at most (random directions, shuffled labels or "
            "pairs, a random order).",
        )
    return figure


def _panel(axes: Axes, series: list[dict[str, Any]], sites: list[str]) -> None:
    place = {site: i for i, site in enumerate(sites)}
    reads = list(dict.fromkeys(of["of"] for of in series))
    sources = sorted({of["source"] for of in series})
    for of in series:
        points = {point["site"]: point for point in of["points"]}
        shade, label = SHADES[reads.index(of["of"]) % len(SHADES)], OF.get(of["of"], of["of"])
        if len(sources) > 1:
            label = f"{pair_name(of['source'], of['target'])}, {label}"
        line = "-" if of["source"] == sources[0] else "--"
        for run in runs([point["site"] for point in of["points"]]):
            some = [points[site] for site in run]
            x = [place[site] for site in run]
            low, high = (np.array([point[name] for point in some], dtype=float) for name in ("low", "high"))
            axes.fill_between(x, low, high, color=shade, alpha=0.12, linewidth=0)
            axes.vlines(x, low, high, color=shade, alpha=0.4, linewidth=1)
            axes.plot(
                x,
                [point["value"] for point in some],
                line,
                color=shade,
                linewidth=1.4,
                marker=".",
                label=label,
            )
            null = [
                (i, point["null_high"])
                for i, point in zip(x, some, strict=True)
                if point["null_high"] is not None
            ]
            if null:
                axes.plot(*zip(*null, strict=True), ":", color=shade, linewidth=0.9)
            label = "_nolegend_"
        for name, mark in (("highest", "^"), ("lowest", "v")):
            at = of[name]["site"]
            axes.plot(
                place[at], points[at]["value"], mark, color=shade, markersize=7, markeredgecolor="#111111"
            )
    site_ticks(axes, sites)
    axes.set_ylim(min(-0.05, axes.get_ylim()[0]), 1.04)
    axes.legend(fontsize=6.5, loc="best", handlelength=3.4)
