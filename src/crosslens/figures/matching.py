"""Do the SAEs of two languages find the same features? The share of matched features from each cosine on."""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosslens.figures.style import BLUE, GREEN, GREY, ORANGE, heading, in_rows, save, style, tidy
from crosslens.summary.names import short_name, site_name
from crosslens.summary.reading import Document

LOOKS = {
    "languages": (BLUE, "-", 2.0),
    "seeds": (GREEN, "--", 1.3),
    "turned": (GREY, ":", 1.6),
    "frozen": (ORANGE, "-.", 1.3),
}
"""role -> colour, line, width"""


def draw_matching_figure(*, matching: Path, out: Path) -> None:
    """Write matching.png to the folder `out`; matching: the folder of `match_features`."""
    document = Document(matching / "matching.json", "matching")
    out.mkdir(parents=True, exist_ok=True)
    figure = matching_figure(
        document("pairs"), document("thresholds"), document("shared_from"), document("site")
    )
    save(figure, out / "matching.png", matching_table(document("pairs"), document("thresholds")))


def matching_table(pairs: list[dict[str, Any]], thresholds: list[float]) -> pd.DataFrame:
    """A row a comparison and cosine from which on pairs count: the share of matched features."""
    return tidy(
        {
            "pair": "-".join(pair["languages"]),
            "role": of["role"],
            "names": of["names"],
            "matched": of["matched"],
        }
        | {"cosine": cosine, "share": share}
        for pair in pairs
        for of in (pair, *pair["ceilings"], *pair["floors"])
        if of["tested"]
        for cosine, share in zip(thresholds, of["curve"], strict=True)
    )


def matching_figure(
    pairs: list[dict[str, Any]], thresholds: list[float], shared_from: float, site: str
) -> Figure:
    """A panel per pair of languages; pairs, thresholds, shared_from: as in the document of kind matching."""
    with style():
        figure, panels = in_rows(len(pairs), width=6.4, height=5.0)
        for axes, pair in zip(panels, pairs, strict=True):
            _panel(axes, pair, thresholds, shared_from)
        ceiling = (
            ""
            if all(pair["ceilings"] for pair in pairs)
            else " No ceiling is drawn: each language has one seed."
        )
        heading(
            figure,
            f"Features of two SAEs matched one to one, {site_name(site)}",
            "Pairs that encoder and decoder agree on, both cosines at least as large. Vertical: from where a pair "
            f"is called the same feature.{ceiling}",
        )
    return figure


def _panel(axes: Axes, pair: dict[str, Any], thresholds: list[float], shared_from: float) -> None:
    told = [of for of in (pair, *pair["ceilings"], *pair["floors"]) if of["tested"]]
    for of in told:
        shade, line, width = LOOKS[of["role"]]
        axes.plot(
            thresholds,
            of["curve"],
            line,
            color=shade,
            linewidth=width,
            label=f"{label(of)} (n = {of['matched']:,})",
        )
    axes.axvline(shared_from, color="#333333", linewidth=0.8)
    first, second = map(short_name, pair["languages"])
    said = (
        f"{pair['shared']:,} of {pair['matched']:,} are the same feature"
        if pair["tested"]
        else f"not tested, because {pair['because']}"
    )
    axes.set_title(f"{first} and {second}: {said}", fontsize=9)
    axes.set(
        xlabel="cosine of encoder and of decoder at least",
        ylabel="share of matched features",
        xlim=(0, 1),
        ylim=(-0.02, 1.02),
    )
    if told:
        axes.legend(fontsize=7.5, loc="upper right")


def label(of: dict[str, Any]) -> str:
    """What was compared, in a few words."""
    language = short_name(of["names"][0].split("/")[0])
    return {
        "languages": "SAEs of the two languages",
        "seeds": f"two seeds, {language}",
        "turned": "one SAE turned at random",
        "frozen": "both decoders frozen as drawn",
    }[of["role"]]
