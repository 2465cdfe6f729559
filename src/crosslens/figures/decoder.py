"""Do features point the same way? How near each decoder row is to its nearest other."""

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosslens.figures.style import BLUE, heading, nothing, plain_log, style
from crosslens.summary.names import corpus_name, site_name

_GREY = "#444444"


def decoder_figure(bins: pd.DataFrame, saes: pd.DataFrame, *, site: str) -> Figure:
    """Histograms of each feature's largest cosine with another, a panel per SAE, beside random directions.

    bins: rows (corpus, source, low, high, count), source `decoder` or `random`. saes: rows (corpus, d_sae, compared,
    alike_above, median, alike_share, random_median); without a median nothing was compared.
    """
    columns = 2 if len(saes) in (2, 4) else 3
    rows = math.ceil(len(saes) / columns)
    with style():
        figure = Figure(figsize=(11.5, 1.2 + 2.5 * rows))
        grid = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
        for axes in grid[len(saes) :]:
            axes.set_axis_off()
        filled = bins[bins["count"] > 0]
        low = min(0.0, math.floor(10 * float(filled["low"].min())) / 10) if len(filled) else 0.0
        for axes, sae in zip(grid, saes.to_dict("records"), strict=False):
            _panel(axes, bins[bins["corpus"] == sae["corpus"]], sae)
            axes.set_xlim(low, 1.0)
            axes.tick_params(labelbottom=True)
            axes.set_xlabel("largest cosine with another feature")
        handles, labels = grid[0].get_legend_handles_labels()
        if handles:
            figure.legend(handles[::-1], labels[::-1], loc="outside right center")
        heading(
            figure,
            f"How alike decoder rows are, {site_name(site)}",
            "For each feature the largest cosine of its decoder row with that of any other feature of its SAE. "
            "Random: as many random unit directions of the same width.",
        )
    return figure


def _panel(axes: Axes, bins: pd.DataFrame, sae: dict) -> None:
    title = f"{corpus_name(sae['corpus'])}\nn = {int(sae['compared']):,} of {int(sae['d_sae']):,} features"
    if pd.isna(sae["median"]):
        axes.set_title(title, fontsize=8.5)
        nothing(axes, "a single feature has no other")
        return
    axes.set_title(
        f"{title}\nmedian {sae['median']:.2f} (random {sae['random_median']:.2f}), "
        f"{100 * sae['alike_share']:.1f} % above {sae['alike_above']:g}",
        fontsize=8.5,
    )
    decoder, random = (bins[bins["source"] == name] for name in ("decoder", "random"))
    width = decoder["high"] - decoder["low"]
    axes.bar(decoder["low"], decoder["count"], width, align="edge", color=BLUE, label="the SAE's decoder")
    edges = [*random["low"], float(random["high"].iloc[-1])]
    axes.stairs(random["count"], edges, color=_GREY, linewidth=1.2, label="random directions")
    axes.axvline(sae["alike_above"], color=_GREY, linewidth=0.8, linestyle=":")
    # a logarithm: random directions of a wide model all fall into one or two bins
    plain_log(axes, [0.8, 1.3 * float(bins["count"].max())])
    axes.set_ylabel("features")
