"""Do captions of one picture lie together in two languages? Retrieval and CKA over layers."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosslens.figures.sites import runs, site_ticks
from crosslens.figures.style import BLUE, GREEN, GREY, ORANGE, heading, nothing, style
from crosslens.summary.names import language_name, site_order
from crosslens.summary.reading import Document

_RETRIEVAL = ["r1", "r1_low", "r1_high", "r1_chance", "images"]
_CKA = ["unbiased", "unbiased_q95", "linear", "linear_null", "images"]


def retrieval_frames(summaries: list[Document]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of retrieval_figure out of the layers' summaries."""
    rows = [record for summary in summaries for record in summary.records("retrieval")]
    retrieval = pd.DataFrame(rows, columns=["site", "source", "target", "centred", *_RETRIEVAL])
    rows = [
        record | dict(zip(("source", "target"), record["languages"], strict=True))
        for summary in summaries
        for record in summary.records("cka")
    ]
    cka = pd.DataFrame(rows, columns=["site", "source", "target", *_CKA])
    return (
        retrieval.astype(dict.fromkeys(_RETRIEVAL, "float64")),
        cka.astype(dict.fromkeys(_CKA, "float64")),
    )


def retrieval_figure(retrieval: pd.DataFrame, cka: pd.DataFrame) -> Figure:
    """R@1 both ways and CKA against the site, a row per pair of languages.

    retrieval: rows (site, source, target, centred, r1, r1_low, r1_high, r1_chance, images); cka: rows (site, source,
    target, unbiased, unbiased_q95, linear, linear_null, images).
    """
    sites = sorted(set(retrieval["site"]), key=site_order)
    pairs = list(dict.fromkeys(zip(cka["source"], cka["target"], strict=True)))
    with style():
        figure = Figure(figsize=(11, 1.4 + 3.2 * max(len(pairs), 1)))
        grid = figure.subplots(max(len(pairs), 1), 2, squeeze=False)
        for row, pair in zip(grid, pairs, strict=False):
            of_pair = [frame["source"].isin(pair) & frame["target"].isin(pair) for frame in (retrieval, cka)]
            first, second = (language_name(language).split(" ")[0] for language in pair)
            _retrieval_panel(row[0], retrieval[of_pair[0]], sites)
            row[0].set_title(f"{first} and {second}: the caption's translation comes first (R@1)")
            _cka_panel(row[1], cka[of_pair[1]], sites)
            row[1].set_title(f"{first} and {second}: CKA of the same captions")
        if not pairs:
            for axes in grid.flat:
                nothing(axes)
        images = sorted({int(n) for n in retrieval["images"]})
        n = (
            f"n = {images[0]:,}{f' to {images[-1]:,}' if len(images) > 1 else ''} test pictures or texts. "
            if images
            else ""
        )
        heading(
            figure,
            "Captions and their translations, per layer",
            f"{n}Mean-pooled caption activations, cosine among all n; centred: minus the language's train mean.\n"
            "Bands: 95 % CI over pictures or texts. Unbiased CKA is 0 in expectation for unrelated captions, linear CKA is not.",
        )
    return figure


def _line(axes: Axes, rows: pd.DataFrame, sites: list[str], value: str, mark: str, **look) -> None:
    """`value` by site; a band where the rows have {value}_low and {value}_high."""
    place = {site: i for i, site in enumerate(sites)}
    label = look.pop("label")
    for run in runs(sites):
        line = rows[rows["site"].isin(run)].sort_values("site", key=lambda column: column.map(place))
        if line.empty:
            continue
        x = line["site"].map(place)
        if f"{value}_low" in line:
            low, high = line[f"{value}_low"], line[f"{value}_high"]
            axes.fill_between(x, low, high, color=look["color"], alpha=0.15, linewidth=0)
            axes.vlines(x, low, high, color=look["color"], alpha=0.4, linewidth=1)
        axes.plot(x, line[value], mark, markersize=4, linewidth=1.3, label=label, **look)
        label = "_nolegend_"


def _retrieval_panel(axes: Axes, rows: pd.DataFrame, sites: list[str]) -> None:
    shades = dict(zip(dict.fromkeys(rows["source"]), (BLUE, ORANGE), strict=False))
    for (source, target, centred), line in rows.groupby(["source", "target", "centred"], sort=False):
        name = " → ".join(language_name(language).split(" ")[0] for language in (source, target))
        label = f"{name}{'' if centred else ', not centred'}"
        fill = shades[source] if centred else "white"
        mark = "o-" if centred else "s:"
        look = {"color": shades[source], "markerfacecolor": fill, "alpha": 1.0 if centred else 0.6}
        _line(axes, line, sites, "r1", mark, **look, label=label)
    chance = rows.drop_duplicates("site")[["site", "r1_chance"]]
    _line(axes, chance, sites, "r1_chance", "--", color="#333333", label="chance")
    site_ticks(axes, sites)
    axes.set(ylabel="share of test pictures or texts", ylim=(-0.02, 1.02))
    axes.legend(fontsize=8)


def _cka_panel(axes: Axes, rows: pd.DataFrame, sites: list[str]) -> None:
    _line(axes, rows, sites, "unbiased", "o-", color=GREEN, label="unbiased CKA")
    _line(
        axes,
        rows,
        sites,
        "unbiased_q95",
        "--",
        color=GREEN,
        label="unbiased, pairs shuffled: 95th percentile",
    )
    _line(axes, rows, sites, "linear", "s:", color=GREY, markerfacecolor="white", label="linear CKA")
    _line(axes, rows, sites, "linear_null", "--", color=GREY, label="linear, pairs shuffled: mean")
    site_ticks(axes, sites)
    axes.set(ylabel="CKA", ylim=(min(-0.05, axes.get_ylim()[0]), 1.02))
    axes.legend(fontsize=8)
