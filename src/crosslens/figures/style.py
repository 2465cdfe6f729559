"""One look for all figures, independent of the machine's matplotlib settings, saved to the same bytes every time."""

import json
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from crosslens.data.languages import language_of

DPI, FINE = 150, 300
"""Of the PNG; and of what is no line in SVG and PDF."""
LINES = {"svg": ("Creator", "Date"), "pdf": ("Creator", "Producer", "CreationDate")}
"""Formats beside PNG, and what they would say of the machine and the hour."""
MANY = 2000
"""Points beyond which a cloud is drawn as a picture in SVG and PDF, whose file would grow with each."""
BLUE, ORANGE, GREEN, RED, PINK, BROWN, GREY, SKY = (
    "#0173B2",
    "#DE8F05",
    "#029E73",
    "#D55E00",
    "#CC78BC",
    "#CA9161",
    "#949494",
    "#56B4E9",
)
"""Of seaborn's `colorblind` palette, copied so that drawing need not import seaborn (a test compares the two)."""
FEMALE, MALE = PINK, GREEN
WINE = "#882255"
"""Of Paul Tol's muted palette: far from all of those above."""
SPARE = (WINE, SKY, BROWN, RED)
"""Of languages that have no colour of their own: the first is none that a neighbour of English and Arabic is taken for."""

_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.dpi": DPI,
    "figure.constrained_layout.use": True,
    # letters as outlines: Arabic stays joined wherever the file is opened
    "svg.fonttype": "path",
    "svg.hashsalt": "crosslens",
    "pdf.fonttype": 42,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw inside this: matplotlib's defaults and our own settings, whatever the user's matplotlibrc says."""
    defaults = {key: value for key, value in matplotlib.rcParamsDefault.items() if key != "backend"}
    with rc_context({**defaults, **_STYLE}):
        yield


def colour(key: str, keys: list[str]) -> str:
    """The colour of a language or corpus: the language's own if it has one, by position for others."""
    others = [other for other in keys if not _own_colour(other)]
    return _own_colour(key) or SPARE[others.index(key) % len(SPARE)]


def _own_colour(key: str) -> str:
    return GREEN if key == "joint" else language_of(key).colour


ACROSS = 2
"""Panels of a size to be read by themselves, on a page's width."""
NOTE_CHARACTERS = 17
"""Of a note in an inch."""
WORDS = {"site", "corpus", "language", "category", "condition", "metric", "baseline", "probe"}
"""Columns of the figures' tables that are no numbers."""


def numeric(records: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    """Records as a table of these columns: numbers as floats, None as NaN."""
    frame = pd.DataFrame(records, columns=columns)
    return frame.astype({name: "float64" for name in columns if name not in WORDS})


def heading(figure: Figure, title: str, note: str) -> None:
    """What n, CI and marks mean at the figure's foot, in lines that fit its width (SVG: the group `note`).

    The title is not drawn, as a page and a paper have a caption: it is what SVG and PDF say of themselves.
    """
    figure.set_label(title)
    if note:
        width = int(figure.get_figwidth() * NOTE_CHARACTERS)
        note = "\n".join(textwrap.fill(line, width) for line in note.splitlines())
        figure.supxlabel(note, x=0.01, ha="left", fontsize=8, color="#444444", gid="note")


def in_rows(panels: int, *, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of so many panels of that size in inches, at most ACROSS side by side."""
    across = min(panels, ACROSS)
    down = -(-panels // across)
    figure = Figure(figsize=(width * across, height * down))
    grid = list(figure.subplots(down, across, squeeze=False).flat)
    for axes in grid[panels:]:
        axes.set_visible(False)
    return figure, grid[:panels]


def auroc_axis(axes: Axes, scores: pd.DataFrame) -> None:
    """Limits that hold every score and interval of `scores`: once for all panels that share the axis.

    A panel that sets limits of what it has itself freezes them for the panels after it.
    """
    lowest = scores.min().min()
    axes.set_ylim(min(0.3, lowest - 0.02), 1.03)


def nothing(axes: Axes, words: str = "not measured") -> None:
    """Say in words that a panel has no data."""
    axes.text(0.5, 0.5, words, ha="center", va="center", transform=axes.transAxes, color="#555555")
    # not set_xticks([]): shared axes would lose theirs too
    axes.tick_params(bottom=False, left=False, labelbottom=False, labelleft=False)
    axes.grid(visible=False)


def plain_log(axes: Axes, values, which: str = "y") -> None:
    """A logarithmic axis (`x` or `y`) around `values` whose ticks read 0.02, 0.05, 0.1, not powers of ten."""
    low, high = 0.85 * float(min(values)), 1.15 * float(max(values))
    axes.set(**{f"{which}scale": "log", f"{which}lim": (low, high)})
    axis = getattr(axes, f"{which}axis")
    # within less than a decade 1, 2, 5 may be one tick or none
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 10 * low else (1, 1.5, 2, 3, 4, 5, 6, 8)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def save(figure: Figure, path: Path, table: pd.DataFrame) -> None:
    """Write a figure to `path`, a PNG, beside it the same as SVG and PDF, and as CSV what it shows.

    table: tidy rows, a number or a word a column (see `tidy`). The bytes depend on nothing but what is drawn.
    """
    about = {"Title": figure.get_label()}
    with style():
        figure.savefig(path, dpi=DPI, format="png", metadata={"Software": None})
        figure.set_layout_engine("none")  # everything has its place by now
        for axes in figure.axes:
            for cloud in axes.collections:
                cloud.set_rasterized(isinstance(cloud, PathCollection) and len(cloud.get_offsets()) > MANY)
        for name, fields in LINES.items():
            silent = about | dict.fromkeys(fields)
            figure.savefig(path.with_suffix(f".{name}"), dpi=FINE, format=name, metadata=silent)
    table.to_csv(path.with_suffix(".csv"), index=False, lineterminator="\n", float_format="%.10g")


def tidy(records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Records as a table: what they hold of other records becomes columns (`null_mean`), lists of words and numbers are JSON."""
    table = pd.json_normalize(list(records), sep="_")
    for name in table:
        if table[name].map(lambda value: isinstance(value, list)).any():
            table[name] = table[name].map(lambda value: json.dumps(value, ensure_ascii=False))
    return table


def stacked(**tables: pd.DataFrame) -> pd.DataFrame:
    """Tables of unlike rows in one, told apart by the column `table`."""
    return pd.concat([table.assign(table=name) for name, table in tables.items()], ignore_index=True)


def labelled(panels: Iterable[Axes]) -> dict[str, Artist]:
    """What any of the panels draws, by its label, each once: the first panel need not have all of it."""
    return {
        label: handle
        for axes in panels
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
