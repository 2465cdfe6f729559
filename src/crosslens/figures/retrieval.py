"""Do captions of one picture lie together in two languages? Retrieval and CKA over layers."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosslens.figures.sites import runs, site_ticks
from crosslens.figures.style import GREEN, GREY, colour, heading, nothing, style
from crosslens.summary.names import language_name, site_order
from crosslens.summary.reading import Document

READ = {"alone": "without pictures", "caption": "with pictures", "prompt": "picture and prompt alone"}
MARKS = {"alone": "o-", "caption": "s--", "prompt": "^:"}
_RETRIEVAL = ["r1", "r1_low", "r1_high", "r1_chance", "units"]
_CKA = ["unbiased", "unbiased_q95", "units"]


def retrieval_frames(summaries: list[Document]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of retrieval_figure out of the layers' summaries."""
    rows = [record for summary in summaries for record in summary.records("retrieval") if record["centred"]]
    retrieval = pd.DataFrame(rows, columns=["site", "read", "source", "target", *_RETRIEVAL])
    rows = [
        record | dict(zip(("source", "target"), record["languages"], strict=True))
        for summary in summaries
        for record in summary.records("cka")
    ]
    cka = pd.DataFrame(rows, columns=["site", "read", "source", "target", *_CKA])
    return (
        retrieval.astype(dict.fromkeys(_RETRIEVAL, "float64")),
        cka.astype(dict.fromkeys(_CKA, "float64")),
    )


def retrieval_figure(retrieval: pd.DataFrame, cka: pd.DataFrame) -> Figure:
    """R@1 both ways and unbiased CKA against the site, a row per pair of languages, a line for what was read.

    retrieval: rows (site, read, source, target, r1, r1_low, r1_high, r1_chance, images), centred; cka: rows (site, read,
    source, target, unbiased, unbiased_q95, images).
    """
    sites = sorted(set(retrieval["site"]), key=site_order)
    # a prompt looks for captions both ways
    captions = cka[cka["read"] != "prompt"]
    pairs = list(dict.fromkeys(zip(captions["source"], captions["target"], strict=True)))
    pictured = set(retrieval["read"]) - {"caption"}
    languages = list(dict.fromkeys(retrieval["source"]))
    shades = {language: colour(language, languages) for language in languages}
    with style():
        figure = Figure(figsize=(12, 1.4 + 3.4 * max(len(pairs), 1)))
        grid = figure.subplots(max(len(pairs), 1), 2, squeeze=False)
        for row, pair in zip(grid, pairs, strict=False):
            of_pair = [frame["source"].isin(pair) & frame["target"].isin(pair) for frame in (retrieval, cka)]
            first, second = (language_name(language).split(" ")[0] for language in pair)
            _retrieval_panel(row[0], retrieval[of_pair[0]], sites, shades, bool(pictured))
            row[0].set_title(f"{first} and {second}: the caption's translation comes first (R@1)")
            _cka_panel(row[1], cka[of_pair[1]], sites, bool(pictured))
            row[1].set_title(f"{first} and {second}: unbiased CKA of the same captions")
        if not pairs:
            for axes in grid.flat:
                nothing(axes)
        images = sorted({int(n) for n in retrieval["units"]})
        n = (
            f"n = {images[0]:,}{f' to {images[-1]:,}' if len(images) > 1 else ''} test pictures or texts. "
            if images
            else ""
        )
        told = (
            "Without pictures the words alone decide; “picture and prompt alone”: the constant prompt behind the picture "
            "looks for the caption, so that the picture alone decides.\n"
            if pictured
            else ""
        )
        heading(
            figure,
            "Captions and their translations, per layer",
            f"{n}Mean-pooled caption activations minus the language's train mean, cosine among all n.\n{told}"
            "Bands: 95 % CI over pictures or texts. Unbiased CKA is 0 in expectation for unrelated captions.",
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
            axes.fill_between(x, low, high, color=look["color"], alpha=0.12, linewidth=0)
            axes.vlines(x, low, high, color=look["color"], alpha=0.4, linewidth=1)
        axes.plot(x, line[value], mark, markersize=4, linewidth=1.3, label=label, **look)
        label = "_nolegend_"


def _retrieval_panel(
    axes: Axes, rows: pd.DataFrame, sites: list[str], shades: dict[str, str], pictured: bool
) -> None:
    for (source, target, read), line in rows.groupby(["source", "target", "read"], sort=False):
        name = " → ".join(language_name(language).split(" ")[0] for language in (source, target))
        look = {
            "color": shades[source],
            "markerfacecolor": shades[source] if _own(read, pictured) else "white",
        }
        _line(axes, line, sites, "r1", _mark(read, pictured), **look, label=name + _told(read, pictured))
    chance = rows.drop_duplicates("site")[["site", "r1_chance"]]
    _line(axes, chance, sites, "r1_chance", "--", color="#333333", label="chance")
    site_ticks(axes, sites)
    axes.set(ylabel="share of test pictures or texts", ylim=(-0.02, 1.02))
    axes.legend(fontsize=7.5)


def _cka_panel(axes: Axes, rows: pd.DataFrame, sites: list[str], pictured: bool) -> None:
    for (source, target, read), line in rows.groupby(["source", "target", "read"], sort=False):
        label = "unbiased CKA" + _told(read, pictured)
        if read == "prompt":
            names = [language_name(language).split(" ")[0] for language in (source, target)]
            label = f"{names[0]} prompt behind the picture, {names[1]} caption"
        own = _own(read, pictured)
        look = {"color": GREY if read == "prompt" else GREEN, "markerfacecolor": GREEN if own else "white"}
        _line(axes, line, sites, "unbiased", _mark(read, pictured), **look, label=label)
        if own:
            label = "pairs shuffled: 95th percentile"
            _line(axes, line, sites, "unbiased_q95", "--", color="#333333", label=label)
    site_ticks(axes, sites)
    axes.set(ylabel="CKA", ylim=(min(-0.05, axes.get_ylim()[0]), 1.02))
    axes.legend(fontsize=7.5)


def _own(read: str, pictured: bool) -> bool:
    """Whether the words alone are what was read."""
    return read == ("alone" if pictured else "caption")


def _mark(read: str, pictured: bool) -> str:
    return MARKS[read if pictured else "alone"]


def _told(read: str, pictured: bool) -> str:
    if not pictured:
        return ""
    return f", {READ[read]}"
