"""How many features, or channels, hold the gender? AUROC of sparse probes."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from crosslens.figures.panels import grid_of, panels
from crosslens.figures.style import BLUE, GREEN, auroc_axis, heading, labelled, nothing, style
from crosslens.summary.conditions import Record

_INPUTS = {"codes": ("SAE features", GREEN, "s-"), "activations": ("raw channels", BLUE, "o-")}
ALL = "all"


def sparse_probes_figure(probes: pd.DataFrame, words: Sequence[Record] = ()) -> Figure:
    """AUROC against how many columns a probe reads, a row per condition and a column per language; chance is .5.

    probes: rows (site, language, condition, probe, columns, auroc): probe in codes/activations, columns a number in words or
    ALL. A thin line a site, the thick one their median. words: records of kind words.
    """
    sizes = [*sorted({int(size) for size in probes["columns"] if size != ALL}), ALL]
    with style():
        figure, grid = grid_of(probes)
        for axes, part, title in panels(probes, grid, words):
            axes.set_title(title)
            _panel(axes, part, [str(size) for size in sizes])
        for row in grid:
            row[0].set_ylabel("AUROC on test")
        for axes in grid[-1]:
            axes.set_xlabel(
                "features or channels read, the best on train\n(thin: one site; thick: median of the sites)"
            )
        if probes.empty:
            nothing(grid[0][0])
        else:
            auroc_axis(grid[0][0], probes[["auroc"]])
            handles = labelled(grid.flat)
            figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=6)
        heading(figure, "How many features hold the gender?", "")
    return figure


def _panel(axes, rows: pd.DataFrame, sizes: list[str]) -> None:
    if rows.empty:
        nothing(axes)
        return
    axes.axhline(0.5, color="#333333", linewidth=1, linestyle="--", label="chance")
    for probe, (name, shade, mark) in _INPUTS.items():
        some = rows[rows["probe"] == probe]
        if some.empty:
            continue
        table = some.pivot_table(index="site", columns="columns", values="auroc").reindex(columns=sizes)
        x = range(len(sizes))
        for line in table.to_numpy():
            axes.plot(x, line, "-", color=shade, linewidth=0.7, alpha=0.4, gid="site")
        axes.plot(x, table.median(), mark, color=shade, markersize=4.5, linewidth=1.6, label=name)
    axes.set_xticks(range(len(sizes)), sizes)
