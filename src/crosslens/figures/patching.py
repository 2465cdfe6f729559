"""How much of a difference a patch of each place brings over, and how well attributions tell it."""

from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosslens.figures.style import BLUE, GREEN, GREY, ORANGE, RED, heading, nothing, save, style, tidy
from crosslens.summary.names import language_name, short_name
from crosslens.summary.patching_names import KINDS, METHODS, POSITIONS, SITES
from crosslens.summary.reading import Document, read_parquet

CELLS = ["swap", "language", "direction", "source", "donor", "kind", "layer", "node", "positions"]
EFFECTS = ["swap", "language", "source", "donor", "kind", "positions"]
ACROSS = 3
"""Panels in a row: of more the numbers could not be read on a page."""
COLOURS = (BLUE, ORANGE, GREEN, RED)
EXCHANGED = {
    "": ("the pair's own state", BLUE),
    "elsewhere": ("another pair's", ORANGE),
    "romanised": ("in Latin letters", GREEN),
    "random": ("random step", GREY),
}
"""What one language gives to another: in words, and its colour."""


def draw_patching_figures(*, patching: Path, out: Path) -> None:
    """Write patching.png, patched_heads.png, interchange.png and attribution.png to the folder `out`.

    patching: the folder of that artifact. Raises InputError where a field or column is missing.
    """
    maps = read_parquet(patching / "maps.parquet", "patching_maps", [*CELLS, "n", "recovery"])
    effects = read_parquet(
        patching / "effects.parquet",
        "patching_effects",
        [*EFFECTS, "outcome", "outcome_patched", *METHODS],
    )
    document = Document(patching / "patching.json", "patching")
    bound = document("bound")
    own = maps[
        (maps["donor"] == "other") & (maps["source"] == maps["language"]) & (maps["direction"] == "denoising")
    ]
    out.mkdir(parents=True, exist_ok=True)
    with style():
        sites, heads = (
            own[own["kind"].isin(SITES)],
            own[(own["kind"] == "head") & (own["positions"] == "last")],
        )
        save(_maps(sites, bound), out / "patching.png", sites)
        save(_heads(heads, bound), out / "patched_heads.png", heads)
        exchanges = document("interchange")
        save(_interchange(exchanges), out / "interchange.png", tidy(exchanges))
        made = (effects["donor"] == "other") & (effects["source"] == effects["language"])
        told = effects[made & effects["atp"].notna()]
        save(_attribution(told), out / "attribution.png", told)


def panels(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Of each swap and language, titled."""
    return [
        (f"{swap} swap, {_named(language)}", own)
        for (swap, language), own in table.groupby(["swap", "language"], sort=False)
    ]


def _named(language: str) -> str:
    return " or ".join(map(language_name, language.split("-")))


def _maps(table: pd.DataFrame, bound: float) -> Figure:
    """Block × class in the columns of a panel's sites, coloured by R."""
    rows = panels(table)
    figure = Figure(figsize=(11, 0.9 + 2.2 * max(len(rows), 1)))
    grid = figure.subplots(max(len(rows), 1), len(SITES), squeeze=False)
    if not rows:
        nothing(grid[0][0], "no pair differs enough")
    for line, (title, own) in zip(grid, rows, strict=False):
        for axes, (kind, name) in zip(line, SITES.items(), strict=True):
            of = own[own["kind"] == kind]
            order = [position for position in POSITIONS if position in {*of["positions"]}]
            shown = of.pivot_table(index="positions", columns="layer", values="recovery").reindex(order)
            _heat(axes, shown, [POSITIONS[position] for position in order])
            # a line of its own: the names of two languages are wider than a panel
            axes.set_title(f"{title if kind == 'resid_post' else ''}\n{name}")
    n = int(table["n"].max()) if len(table) else 0
    heading(
        figure,
        "How much of the difference does a patch bring over?",
        f"Mean recovery R in the corrupt run of what the clean one says, at most n = {n:,} groups; pairs that differ by less "
        f"than {bound:g} nats are left out. By block; 0: nothing is brought over, 1: all.",
    )
    return figure


def _heat(axes: Axes, shown: pd.DataFrame, names: list[str]) -> None:
    if shown.empty:
        nothing(axes)
        return
    axes.imshow(shown.to_numpy(), cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
    axes.set_xticks(range(shown.shape[1]), [str(layer) for layer in shown.columns])
    axes.set_yticks(range(len(names)), names)
    axes.grid(visible=False)
    if shown.shape[1] > 12:
        axes.tick_params(axis="x", labelsize=6)
        return
    for (y, x), value in np.ndenumerate(shown.to_numpy()):
        if np.isfinite(value):
            shade = "white" if abs(value) > 0.6 else "black"
            axes.text(x, y, f"{value:z.2f}", ha="center", va="center", fontsize=6.5, color=shade)


def _heads(table: pd.DataFrame, bound: float) -> Figure:
    rows = panels(table)
    across = min(ACROSS, max(len(rows), 1))
    down = max(1, ceil(len(rows) / across))
    figure = Figure(figsize=(5.5 * across, 0.4 + 2.8 * down))
    grid = figure.subplots(down, across, squeeze=False).ravel()
    if not rows:
        nothing(grid[0], "no head was patched")
    for axes in grid[max(len(rows), 1) :]:
        axes.set_visible(False)
    for axes, (title, own) in zip(grid, rows, strict=False):
        shown = own.pivot_table(index="node", columns="layer", values="recovery")
        _heat(axes, shown, [str(head) for head in shown.index])
        axes.set(title=f"{title}, n = {own['n'].max():,}", xlabel="block", ylabel="head")
    note = (
        f"Mean recovery R, the head's output at the last position patched, over n groups of pairs that differ by {bound:g} nats "
        "or more."
    )
    heading(figure, "Which heads bring the difference to where the word is told?", note)
    return figure


def _interchange(rows: list[dict[str, Any]]) -> Figure:
    """Other − same over blocks, a panel for each two languages and class of positions; its controls beside it."""
    named = ("swap", "source", "language", "positions")
    panels = [
        key for key in dict.fromkeys(tuple(row[name] for name in named) for row in rows) if key[1] != key[2]
    ]
    down = max(1, ceil(len(panels) / ACROSS))
    figure = Figure(figsize=(11, 1.0 + 2.6 * down))
    grid = figure.subplots(down, ACROSS, squeeze=False, sharex=True).ravel()
    if not panels:
        nothing(grid[0], "no state was patched into another language")
    for axes in grid[max(len(panels), 1) :]:
        axes.set_visible(False)
    for axes, key in zip(grid, panels, strict=False):
        own = [row for row in rows if tuple(row[name] for name in named) == key]
        for control, (words, shade) in EXCHANGED.items():
            line = [
                row for row in own if row["control"] == control and row["difference"]["value"] is not None
            ]
            _line(axes, line, "difference", shade, words, banded=control == "")
        swap, source, language, positions = key
        itself = [
            row for row in rows if tuple(row[name] for name in named) == (swap, language, language, positions)
        ]
        _line(axes, itself, "other", "#333333", "own language", linestyle=":")
        axes.axhline(0, color="#333333", linewidth=0.6)
        n = max((row["difference"]["n"] for row in own if row["control"] == ""), default=0)
        axes.set(
            title=f"{short_name(source)} → {short_name(language)}\n{swap} swap, {POSITIONS[positions]}, n = {n:,}",
            xlabel="behind block",
        )
    grid[0].set_ylabel("other − same")
    if panels:
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper")
    heading(
        figure,
        "Does one language's state tell gender in another?",
        "Recovery R by the state of the other gender less that of the own one, both of the other language, over at most n groups "
        "of pairs; band: 95 %. Dotted: R by the language's own states.",
    )
    return figure


def _line(
    axes: Axes,
    rows: list[dict[str, Any]],
    field: str,
    shade: str,
    words: str,
    *,
    banded: bool = False,
    linestyle: str = "-",
) -> None:
    shown = [row for row in rows if row[field]["value"] is not None]
    if not shown:
        return
    layers = [row["layer"] for row in shown]
    of = [row[field] for row in shown]
    marked = {"marker": "o", "markersize": 3, "linewidth": 1.2, "linestyle": linestyle}
    axes.plot(layers, [one["value"] for one in of], color=shade, label=words, **marked)
    if banded and all(one["low"] is not None for one in of):
        bounds = ([one[name] for one in of] for name in ("low", "high"))
        axes.fill_between(layers, *bounds, color=shade, alpha=0.2, linewidth=0)


def _attribution(made: pd.DataFrame) -> Figure:
    """Attribution against effect, a panel per kind of place."""
    kinds = [kind for kind in KINDS if kind in {*made["kind"]}]
    figure = Figure(figsize=(3.6 * max(len(kinds), 1), 3.8))
    line = figure.subplots(1, max(len(kinds), 1), squeeze=False)[0]
    if not kinds:
        nothing(line[0], "no attribution was computed")
    for axes, kind in zip(line, kinds, strict=False):
        own = made[made["kind"] == kind]
        effect = own["outcome_patched"] - own["outcome"]
        for (method, name), shade in zip(METHODS.items(), COLOURS, strict=True):
            if own[method].notna().any():
                axes.scatter(effect, own[method], s=5, alpha=0.35, linewidths=0, color=shade, label=name)
        span = _span(effect)
        axes.plot(span, span, color="#333333", linewidth=0.8)
        axes.set(title=KINDS[kind], xlabel="effect of the patch, nats", ylabel="attribution, nats")
        for which in "xy":
            getattr(axes, f"set_{which}scale")("symlog", linthresh=0.1)
        axes.legend(fontsize=7)
    heading(
        figure,
        "Do attributions tell the effects of patches?",
        "A point is one place, class of positions and run; on the diagonal an attribution is the effect. Logarithmic beyond "
        "0.1 nats.",
    )
    return figure


def _span(effect: Any) -> list[float]:
    most = float(np.abs(effect).max()) if len(effect) else 1.0
    return [-most, most]
