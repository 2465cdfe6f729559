"""Which share of the gendered features is gendered in other views, beside features drawn at random?"""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from crosslens.figures.panels import grid_of, panels
from crosslens.figures.sites import runs, site_ticks
from crosslens.figures.style import BLUE, BROWN, GREEN, ORANGE, heading, labelled, nothing, style
from crosslens.summary.conditions import Record
from crosslens.summary.names import site_order

VIEWS = {
    "max": ("strongest token", ORANGE, "^"),
    "last": ("last token", BROWN, "v"),
    "seed": ("other seeds", BLUE, "o"),
    "architecture": ("other architectures", GREEN, "s"),
}
"""What is drawn: readings by their names, other trainings by their kind."""


def robustness_figure(kept: pd.DataFrame, words: Sequence[Record] = ()) -> Figure:
    """Share of gendered features with the same direction against the site, a row per condition and a column per language.

    kept: rows (site, language, condition, view, gendered, share, chance), view a key of VIEWS; several rows of one view are
    several trainings: each is a mark, the line their mean. words: records of kind words.
    """
    sites = sorted(set(kept["site"]), key=site_order)
    with style():
        figure, grid = grid_of(kept)
        for axes, part, title in panels(kept, grid, words):
            axes.set_title(title)
            _panel(axes, part, sites)
        for row in grid:
            row[0].set_ylabel("share kept\n(dotted: as frequent ones at random)")
        if kept.empty:
            nothing(grid[0][0], "no gendered feature")
        else:
            grid[0][0].set_ylim(-0.03, 1.03)
            handles = labelled(grid.flat)
            figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=5)
        heading(figure, "Gendered features, gendered in other views", "")
    return figure


def _panel(axes, rows: pd.DataFrame, sites: list[str]) -> None:
    if rows.empty:
        nothing(axes, "no gendered feature")
        return
    for shift, (view, (name, shade, mark)) in enumerate(VIEWS.items()):
        some = rows[rows["view"] == view]
        if some.empty:
            continue
        move = 0.05 * (shift - 1.5)
        axes.plot(
            some["site"].map(sites.index) + move, some["share"], mark, color=shade, markersize=4.5, label=name
        )
        means = some.groupby("site")[["share", "chance"]].mean()
        for run in runs(list(means.index)):
            x = [sites.index(each) + move for each in run]
            axes.plot(x, means.loc[run, "share"], "-", color=shade, linewidth=1.2)
            axes.plot(x, means.loc[run, "chance"], "_:", color=shade, linewidth=1)
    least, most = int(rows["gendered"].min()), int(rows["gendered"].max())
    number = f"{least}" if least == most else f"{least} to {most} by site"
    axes.set_title(f"{axes.get_title(loc='left')}\nn = {number} gendered features", fontsize=8.5)
    site_ticks(axes, sites)
