"""Can gender be read off linearly? Probe AUROC over layers."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from crosslens.figures.panels import grid_of, panels
from crosslens.figures.sites import runs, site_ticks
from crosslens.figures.style import (
    BLUE,
    BROWN,
    GREEN,
    GREY,
    ORANGE,
    auroc_axis,
    heading,
    labelled,
    nothing,
    style,
)
from crosslens.summary.conditions import Record
from crosslens.summary.names import in_groups, site_order

_PROBES = {
    "activations": ("raw activations", BLUE, "o-"),
    "codes": ("SAE codes", GREEN, "s-"),
    "shuffled": ("shuffled labels (bar: range)", GREY, "x:"),
    "control": ("control task (bar: range)", BROWN, "^:"),
    "words": ("bag of words", ORANGE, "d--"),
}


def probes_figure(probes: pd.DataFrame, words: Sequence[Record] = ()) -> Figure:
    """AUROC with CI against the site, a row per condition and a column per language; chance is .5.

    probes: rows (site, language, condition, probe, auroc, low, high, n): probe in activations/codes/shuffled/control/words.
    words: records of kind words.
    """
    sites = sorted(set(probes["site"]), key=site_order)
    with style():
        figure, grid = grid_of(probes)
        if probes.empty:
            nothing(grid[0][0])
        for axes, part, title in panels(probes, grid, words):
            _panel(axes, part, sites, title)
        for row in grid:
            row[0].set_ylabel("AUROC on test")
        if not probes.empty:
            auroc_axis(grid[0][0], probes[["auroc", "low"]])
            handles = labelled(grid.flat)
            figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=6)
        heading(figure, "Gender probes per layer (logistic regression)", "")
    return figure


def _panel(axes, rows: pd.DataFrame, sites: list[str], title: str) -> None:
    if rows.empty:
        axes.set_title(title)
        nothing(axes)
        return
    axes.axhline(0.5, color="#333333", linewidth=1, linestyle="--", label="chance")
    for shift, (probe, (name, shade, mark)) in enumerate(_PROBES.items()):
        some = rows[rows["probe"] == probe].sort_values("site", key=lambda c: c.map(sites.index))
        if some.empty:
            continue
        x = some["site"].map(sites.index) + 0.05 * (shift - 2)
        axes.vlines(x, some["low"], some["high"], color=shade, linewidth=1.4)
        for n, run in enumerate(runs(some["site"].tolist())):
            at = some["site"].isin(run)
            label = name if n == 0 else None
            axes.plot(x[at], some["auroc"][at], mark, color=shade, markersize=4.5, linewidth=1.2, label=label)
    first = rows.iloc[0]
    axes.set_title(
        f"{title}\nn = {int(first['n'])} test pictures or texts{in_groups(int(first['n']), int(first['groups']))}; bars: 95 % CI",
        fontsize=8.5,
    )
    site_ticks(axes, sites)
