"""Which features do two languages share? How alike a feature fires against how much more often it fires in one."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosslens.figures.style import GREY, colour, heading, in_rows, nothing, save, style
from crosslens.summary.names import short_name, site_name
from crosslens.summary.reading import Document, read_parquet

_COLUMNS = "feature first second r token_selectivity shared specific live_first live_second".split()


def draw_sharing_figure(*, sharing: Path, out: Path) -> None:
    """Write sharing.png to the folder `out`; sharing: the folder of `feature_sharing`."""
    document = Document(sharing / "sharing.json", "sharing")
    features = read_parquet(sharing / "features.parquet", "feature_sharing", _COLUMNS)
    figure = sharing_figure(
        features, {tuple(pair["languages"]): pair for pair in document("pairs")}, document("site")
    )
    out.mkdir(parents=True, exist_ok=True)
    save(figure, out / "sharing.png", features)


def sharing_figure(features: pd.DataFrame, pairs: dict[tuple[str, str], dict], site: str) -> Figure:
    """A panel per pair of languages, a point per feature live in both.

    features: rows (feature, first, second, r, token_selectivity, shared, specific, live_first, live_second); pairs: languages ->
    counts, as in the document.
    """
    with style():
        every = list(dict.fromkeys(language for languages in pairs for language in languages))
        shades = {language: colour(language, every) for language in every} | {"": GREY}
        figure, panels = in_rows(len(pairs), width=6.4, height=5.6)
        for axes, (languages, told) in zip(panels, pairs.items(), strict=True):
            some = features[(features[["first", "second"]] == list(languages)).all(axis=1)]
            _panel(axes, some[some["live_first"] & some["live_second"]], languages, told, shades)
        heading(
            figure,
            f"Shared and specific features, {site_name(site)}",
            "A point is a feature live in both languages. Ringed: shared, r beyond shuffled pairs. Coloured: fires more often "
            "in that language, a token and a caption, beyond exchanging the languages. Features live in one "
            "language alone have no r and no point.",
        )
    return figure


def _panel(
    axes: Axes, rows: pd.DataFrame, languages: tuple[str, str], told: dict, shades: dict[str, str]
) -> None:
    first, second = map(short_name, languages)
    axes.set_title(
        f"{first} and {second}: {told['shared']['found']:,} of {told['shared']['features']:,} live in both are shared; "
        f"live in one alone: {told['live']['first']:,} and {told['live']['second']:,}\n"
        f"n = {told['groups']:,} pictures, texts or groups of them",
        fontsize=8.5,
    )
    if rows["r"].dropna().empty:
        nothing(axes)
        return
    for language in (*languages, ""):
        shade, some = shades[language], rows[rows["specific"] == language]
        label = f"more often in {short_name(language)}" if language else "neither more often"
        axes.scatter(
            some["token_selectivity"],
            some["r"],
            s=12,
            color=shade,
            alpha=0.5,
            linewidths=0,
            label=f"{label} ({len(some):,})",
        )
    ringed = rows[rows["shared"]]
    axes.scatter(
        ringed["token_selectivity"],
        ringed["r"],
        s=26,
        facecolors="none",
        edgecolors="#111111",
        linewidths=0.7,
        label=f"shared ({len(ringed):,})",
    )
    axes.axhline(0, color="#333333", linewidth=0.6)
    axes.axvline(0, color="#333333", linewidth=0.6)
    axes.set(
        xlabel=f"selectivity of firing: {second} alone at −1, {first} alone at 1",
        ylabel="correlation of activations, same picture or text",
        xlim=(-1.04, 1.04),
        ylim=(min(-0.3, rows["r"].min() - 0.03), 1.03),
    )  # fmt: skip
    axes.legend(loc="upper left", fontsize=7.5, frameon=True, framealpha=0.75, edgecolor="none")
