"""Does the gender direction of one language tell gender in another? AUROC over layers."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosslens.figures.sites import runs, site_ticks
from crosslens.figures.style import auroc_axis, colour, heading, labelled, nothing, style
from crosslens.summary.conditions import Record, condition_name
from crosslens.summary.names import pair_name, short_name, site_order
from crosslens.summary.reading import Document

METHODS = {"difference_of_means": "difference of means", "logistic": "logistic regression"}
_NUMBERS = ["auroc", "auroc_low", "auroc_high", "null_low", "null_high", "n", "groups"]
_COLUMNS = ["site", "condition", "source", "target", "method", *_NUMBERS]


def transfer_frame(summaries: list[Document]) -> pd.DataFrame:
    """Rows of transfer_figure out of the layers' summaries; what was not measured has no row."""
    rows = [record for summary in summaries for record in summary.records("transfer")]
    frame = pd.DataFrame(rows, columns=_COLUMNS)
    return frame.astype(dict.fromkeys(_NUMBERS, "float64")).dropna(subset=["auroc"])


def transfer_figure(transfer: pd.DataFrame, words: Sequence[Record] = ()) -> Figure:
    """AUROC with its CI as a band against the site: a row per condition, a column per method, a line per pair.

    transfer: rows (site, condition, source, target, method, auroc, auroc_low, auroc_high, null_low, null_high, n, groups).
    words: records of kind words.
    """
    sites = sorted(set(transfer["site"]), key=site_order)
    conditions = list(dict.fromkeys(transfer["condition"]))
    methods = [method for method in METHODS if method in set(transfer["method"])]
    with style():
        figure = Figure(figsize=(5.4 * max(len(methods), 2), 1.7 + 2.8 * max(len(conditions), 1)))
        grid = figure.subplots(
            max(len(conditions), 1), max(len(methods), 1), sharex=True, sharey=True, squeeze=False
        )
        for i, condition in enumerate(conditions):
            for j, method in enumerate(methods):
                at = (transfer["condition"] == condition) & (transfer["method"] == method)
                _panel(grid[i][j], transfer[at], sites)
                title = f"{condition_name(condition, words)}\n{METHODS[method]}; {_counts(transfer[at])}"
                grid[i][j].set_title(title, fontsize=8.5)
            grid[i][0].set_ylabel("AUROC on test")
        for axes in grid[:-1].flat:
            axes.set_xlabel("")
        if transfer.empty:
            nothing(grid[0][0])
        else:
            auroc_axis(grid[0][0], transfer[["auroc", "auroc_low", "null_low"]])
            handles = labelled(grid.flat)
            figure.legend(handles.values(), handles.keys(), loc="outside right center", fontsize=8)
        heading(
            figure,
            "Gender direction learned in one language, tested in another",
            "Learned on train, scored on test pictures or texts; colour: the language it is learned in; dashed, and "
            "filled with another's colour: tested in that.\nBands: 95 % CI over test pictures or texts. Grey: 95 % of random "
            "directions in the place of the learned one (widest of the lines): inside it a line is no finding.",
        )
    return figure


def _counts(rows: pd.DataFrame) -> str:
    def span(of: pd.Series) -> str:
        low, high = int(of.min()), int(of.max())
        return f"{low}" if low == high else f"{low} to {high}"

    return ", ".join(
        f"{short_name(language)} n = {span(of['n'])}"
        + (f" in {span(of['groups'])} groups" if (of["groups"] < of["n"]).any() else "")
        for language, of in rows.groupby("target", sort=False)
    )


def _panel(axes: Axes, rows: pd.DataFrame, sites: list[str]) -> None:
    place = {site: i for i, site in enumerate(sites)}
    languages = list(dict.fromkeys([*rows["source"], *rows["target"]]))
    for run in runs(sites):
        null = rows.groupby("site")[["null_low", "null_high"]].agg({"null_low": "min", "null_high": "max"})
        null = null.reindex(run).dropna()
        x = [place[site] for site in null.index]
        axes.fill_between(x, null["null_low"], null["null_high"], color="#BBBBBB", alpha=0.45, linewidth=0)
        if len(x) == 1:  # nothing to fill
            axes.vlines(x, null["null_low"], null["null_high"], color="#BBBBBB", alpha=0.45, linewidth=12)
        for (source, target), line in rows[rows["site"].isin(run)].groupby(["source", "target"], sort=False):
            line = line.sort_values("site", key=lambda column: column.map(place))
            x, shade = line["site"].map(place), colour(source, languages)
            own = source == target
            axes.fill_between(x, line["auroc_low"], line["auroc_high"], color=shade, alpha=0.13, linewidth=0)
            axes.vlines(x, line["auroc_low"], line["auroc_high"], color=shade, alpha=0.35, linewidth=1)
            axes.plot(
                x,
                line["auroc"],
                "o-" if own else "s--",
                color=shade,
                markersize=4,
                linewidth=1.3,
                markerfacecolor=colour(target, languages),
                label=pair_name(source, target),
            )
    axes.axhline(0.5, color="#333333", linewidth=0.9, linestyle=":", label="chance")
    site_ticks(axes, sites)
