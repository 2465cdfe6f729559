"""Heat maps of chosen tokens: against dimensions, against sites, and against each other."""

from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from crosslens.figures.style import GREY, heading, style
from crosslens.summary.names import site_name

_DIVERGING = "RdBu_r"
_ROW = 0.2
"""Inches a token takes."""
_LEFT_TO_RIGHT = "\u200e"
"""Keeps the position in front of an Arabic label; the label itself is shaped and ordered when it is drawn."""
_MOST_WRITTEN = 14
"""Columns up to which cells have their numbers written in."""


def dimensions_figure(
    tokens: pd.DataFrame,
    values: pd.DataFrame,
    *,
    site: str,
    scale: str,
    order: str = "",
    limit: float | None = None,
) -> Figure:
    """Token × dimension at one site, colours symmetric around 0.

    tokens: a row a token in the order drawn, columns sample, position, display. values: rows (token, dim, value), token
    being the place in `tokens`; dimensions are drawn in the order of their first row. scale: says what a value is.
    order: which dimensions these are, in words. limit: of the colours; the 98th percentile of |value| without it, so that
    a few channels do not drown the rest.
    """
    dims = list(dict.fromkeys(values["dim"]))
    grid = values.pivot(index="token", columns="dim", values="value")[dims].to_numpy()
    size = np.abs(grid)
    limit = float(np.quantile(size, 0.98)) if limit is None else limit
    beyond = int((size > limit).sum())
    which = f"Dimensions {order} first. " if order else ""
    with style():
        figure = Figure(figsize=(max(6.5, 2.6 + 0.17 * len(dims)), _height(tokens)))
        axes = figure.subplots()
        image = axes.imshow(grid, cmap=_DIVERGING, vmin=-limit, vmax=limit, aspect="auto")
        _token_axis(axes, tokens)
        axes.set_xticks(range(len(dims)), [str(dim) for dim in dims], rotation=90, fontsize=7)
        axes.set_xlabel("dimension")
        figure.colorbar(image, ax=axes, label="value", extend="both" if beyond else "neither", shrink=0.9)
        heading(
            figure,
            f"Tokens and dimensions, {site_name(site)}",
            f"{site_name(site).capitalize()}. n = {_count(tokens)}; one forward pass each, no interval.\nValue: {scale}.\n"
            f"{which}Colours end at ±{limit:.3g}: {beyond} of {grid.size} cells lie beyond.",
        )
    return figure


def sites_figure(
    tokens: pd.DataFrame, values: pd.DataFrame, *, title: str, what: str, centre: float | None
) -> Figure:
    """Token × site of one number a cell: a norm, a feature's activation, the component along a direction.

    tokens: as in `dimensions_figure`. values: rows (token, site, value), sites in the order of their first row.
    centre: 1 for a ratio (logarithmic colours, equally far both ways), 0 for a signed number, None for one without sign.
    A ratio of 0 has no place among the colours; it is grey, as is NaN.
    """
    sites = list(dict.fromkeys(values["site"]))
    grid = values.pivot(index="token", columns="site", values="value")[sites].to_numpy()
    coloured = np.isfinite(grid) & ((grid > 0) | (centre != 1))
    written = len(sites) <= _MOST_WRITTEN
    with style():
        figure = Figure(figsize=(max(6.5, 2.6 + (0.42 if written else 0.2) * len(sites)), _height(tokens)))
        axes = figure.subplots()
        norm = _norm(grid[coloured], centre)
        cmap = colormaps["viridis" if centre is None else _DIVERGING].with_extremes(bad=GREY)
        image = axes.imshow(np.ma.array(grid, mask=~coloured), cmap=cmap, norm=norm, aspect="auto")
        _token_axis(axes, tokens)
        axes.set_xticks(range(len(sites)), sites, rotation=90 if max(map(len, sites)) > 3 else 0, fontsize=8)
        axes.set_xlabel("site (block, alone its output)")
        if written:
            _write(axes, grid, image)
        bar = figure.colorbar(image, ax=axes, label=what, shrink=0.9)
        if centre == 1:
            bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 1.2, 1.5, 2, 3, 5, 7)))
            bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
            bar.ax.yaxis.set_minor_locator(NullLocator())
        grey = "" if coloured.all() else " Grey: 0, or nothing to divide by (–)."
        heading(figure, title, f"n = {_count(tokens)}; one forward pass each, no interval.{grey}")
    return figure


def cosines_figure(tokens: pd.DataFrame, cosines: pd.DataFrame, *, site: str) -> Figure:
    """Cosines between tokens at one site, a panel for each `kind`.

    tokens: as in `dimensions_figure`. cosines: rows (kind, first, second, value); first and second are places in
    `tokens`, kind says between which vectors.
    """
    kinds = list(dict.fromkeys(cosines["kind"]))
    side = max(3.2, _ROW * len(tokens) + 1.6)
    with style():
        figure = Figure(figsize=(side * len(kinds) + 1.4, side + 1.5))
        panels = figure.subplots(1, len(kinds), squeeze=False)[0]
        for axes, kind in zip(panels, kinds, strict=True):
            own = cosines[cosines["kind"] == kind]
            grid = own.pivot(index="first", columns="second", values="value").to_numpy()
            image = axes.imshow(grid, cmap=_DIVERGING, vmin=-1, vmax=1)
            _token_axis(axes, tokens)
            axes.set_xticks(range(len(tokens)), _labels(tokens), rotation=90, fontsize=7)
            axes.set_title(kind)
        figure.colorbar(image, ax=panels, label="cosine", shrink=0.8)
        heading(
            figure,
            f"Cosine between tokens, {site_name(site)}",
            f"{site_name(site).capitalize()}. n = {_count(tokens)}; one forward pass each, no interval. White lines part the "
            "texts.",
        )
    return figure


def _height(tokens: pd.DataFrame) -> float:
    return max(3.4, 2.2 + _ROW * len(tokens))


def _count(tokens: pd.DataFrame) -> str:
    texts = tokens["sample"].nunique()
    return f"{len(tokens)} token{'s' * (len(tokens) > 1)} of {texts} text{'s' * (texts > 1)}"


def _labels(tokens: pd.DataFrame) -> list[str]:
    return [
        f"{_LEFT_TO_RIGHT}{position} · {_drawable(display)}"
        for position, display in zip(tokens["position"], tokens["display"], strict=True)
    ]


def _drawable(text: str) -> str:
    """The text with `U+1F6B4` for a character that the figures' font lacks, as it does emoji."""
    font = get_font(findfont("DejaVu Sans"))
    return "".join(c if font.get_char_index(ord(c)) else f"U+{ord(c):04X} " for c in text)


def _token_axis(axes: Axes, tokens: pd.DataFrame) -> None:
    """Tokens from top to bottom as they are read, each with its position, a white line between texts."""
    axes.set_yticks(range(len(tokens)), _labels(tokens), fontsize=8)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    square = axes.images[0].get_array().shape == (len(tokens), len(tokens))
    samples = tokens["sample"].tolist()
    borders = [row for row in range(1, len(samples)) if samples[row] != samples[row - 1]]
    for row in borders:
        axes.axhline(row - 0.5, color="white", linewidth=2.5)
        if square:
            axes.axvline(row - 0.5, color="white", linewidth=2.5)
    for first, last in pairwise([0, *borders, len(samples)]):
        axes.text(
            1.01,
            (first + last - 1) / 2,
            samples[first],
            transform=axes.get_yaxis_transform(),
            rotation=270,
            va="center",
            fontsize=7,
        )


def _norm(values: np.ndarray, centre: float | None) -> Normalize:
    if centre is None:
        return Normalize(float(values.min()), float(values.max()))
    if centre == 1:
        furthest = float(np.exp(np.abs(np.log(values)).max(initial=np.log(1.5))))
        return LogNorm(1 / furthest, furthest)
    furthest = float(np.abs(values - centre).max()) or 1.0
    return TwoSlopeNorm(centre, centre - furthest, centre + furthest)


def _write(axes: Axes, grid: np.ndarray, image) -> None:
    colours = image.cmap(image.norm(image.get_array()))
    for (row, column), value in np.ndenumerate(grid):
        red, green, blue, _ = colours[row, column]
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        axes.text(
            column,
            row,
            "–" if np.isnan(value) else f"{value:.0f}" if abs(value) >= 10 else f"{value:.2g}",
            ha="center",
            va="center",
            fontsize=6.5,
            color="white" if dark else "black",
        )
