"""The settings of a sweep: what is left unexplained against how many features fire."""

from itertools import cycle
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosslens.figures.labels import place_labels
from crosslens.figures.style import (
    BLUE,
    BROWN,
    GREEN,
    GREY,
    ORANGE,
    PINK,
    RED,
    heading,
    nothing,
    plain_log,
    save,
    style,
)
from crosslens.summary.names import corpus_name, site_name
from crosslens.summary.reading import Document
from crosslens.summary.sweep import OWN

_PANELS = (
    ("fvu", "fraction of variance unexplained", "What is lost of the activations"),
    ("ce_recovered", "share of cross-entropy recovered", "What is kept of the model's predictions"),
)
_LOOKS = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "D"), (RED, "^"), (PINK, "v"), (BROWN, "P"), (GREY, "X"))
"""(colour, marker) of the architectures of a figure, in alphabetical order."""
_MARKER, _RING = 3.5, 7.0
"""Radii, in points."""


def draw_sweep_figure(sweep: Path, out: Path) -> None:
    """Write pareto.png to the folder `out` from a result of kind `sweep`."""
    frame, *of = sweep_frame(sweep)
    out.mkdir(parents=True, exist_ok=True)
    save(pareto_figure(frame, *of), out / "pareto.png", frame)


def sweep_frame(sweep: Path) -> tuple[pd.DataFrame, str, str, int]:
    """The arguments of pareto_figure from a result of kind `sweep`."""
    doc = Document(sweep, "sweep")
    columns = ("name", "architecture", "l0", "fvu", "ce_recovered", "pareto")
    frame = pd.DataFrame([{name: setting[name] for name in columns} for setting in doc("settings")])
    frame = frame.astype(dict.fromkeys(("l0", "fvu", "ce_recovered"), "float64"))
    frame["passes"] = [not setting["gates_failed"] for setting in doc("settings")]
    frame["recommended"] = frame["name"] == doc("recommended")
    tokens = [own["tokens"] for setting in doc("settings") for own in setting["languages"].values()]
    return frame, doc("site"), doc("corpus"), max(tokens)


def pareto_figure(settings: pd.DataFrame, site: str, corpus: str, tokens: int) -> Figure:
    """FVU and CE recovered against L0; points have the numbers of the key, the Pareto set is joined.

    settings: rows (name, architecture, l0, fvu, ce_recovered, pareto, passes, recommended), a setting each.
    tokens: held-out test tokens of a language.
    """
    with style():
        figure = Figure(figsize=(11.5, max(4.2, 1.6 + 0.19 * len(settings))))
        panels = figure.subplots(1, len(_PANELS))
        for axes, (column, label, title) in zip(panels, _PANELS, strict=True):
            axes.set_title(title)
            _points(axes, settings.assign(value=settings[column]), _looks(settings))
            if column == "fvu":
                front = settings[settings["pareto"]].sort_values("l0")
                axes.plot(front["l0"], front["fvu"], color="0.75", linewidth=1.2, zorder=1, gid="pareto")
            if settings[column].isna().all():
                nothing(axes)
                continue
            axes.set(xlabel="active features per token (L0)", ylabel=label)
        _key(figure, settings)
        heading(
            figure,
            f"Sweep of SAE settings, {corpus_name(corpus)}, {site_name(site)}",
            f"n = {tokens:,} held-out test tokens a language, means over languages. Line: no other setting has both "
            "a smaller L0 and a smaller FVU.\nRing: recommended. Hollow: fails a quality gate.",
        )
        figure.draw_without_rendering()  # what is free for a label is known once the layout is
        for axes, (column, _, _) in zip(panels, _PANELS, strict=True):
            rows = settings.reset_index(drop=True).dropna(subset=[column])
            points = list(zip(rows["l0"], rows[column], strict=True))
            radii = [_RING if chosen else _MARKER for chosen in rows["recommended"]]
            place_labels(axes, points, [str(i + 1) for i in rows.index], radii, fontsize=7.5, color="0.15")
    return figure


def _looks(settings: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Colour and marker by architecture."""
    return dict(zip(sorted(settings["architecture"].unique()), cycle(_LOOKS)))


def _points(axes: Axes, settings: pd.DataFrame, looks: dict[str, tuple[str, str]]) -> None:
    """One panel: points at (l0, value); settings without a value have none."""
    settings = settings.dropna(subset=["value"])
    for row in settings.itertuples():
        shade, mark = looks[row.architecture]
        face = shade if row.passes else "white"
        axes.plot(
            row.l0, row.value, mark, color=shade, markerfacecolor=face, markersize=2 * _MARKER, zorder=2
        )
    chosen = settings[settings["recommended"]]
    axes.scatter(
        chosen["l0"],
        chosen["value"],
        s=(2 * _RING) ** 2 * 0.8,
        facecolors="none",
        edgecolors="0.1",
        zorder=3,
        gid="recommended",
    )
    axes.margins(0.15)
    axes.ticklabel_format(axis="y", useOffset=False)
    if len(settings) and (settings["l0"] > 0).all():
        plain_log(axes, settings["l0"], "x")
        low, high = axes.get_xlim()
        axes.set_xlim(low / 1.15, high * 1.15)


def _key(figure: Figure, settings: pd.DataFrame) -> None:
    """The numbers of the points and the settings that they stand for, to the right."""
    handles, words, looks = [], [], _looks(settings)
    for i, row in enumerate(settings.itertuples(), 1):
        shade, mark = looks[row.architecture]
        face = shade if row.passes else "white"
        handles += figure.axes[0].plot(
            [], [], mark, color=shade, markerfacecolor=face, markersize=2 * _MARKER
        )
        name = f"the study's own, {row.architecture}" if row.name == OWN else row.name
        words.append(f"{i}  {name}")
    legend = figure.legend(handles, words, loc="outside right upper", fontsize=8)
    for text, chosen in zip(legend.get_texts(), settings["recommended"], strict=True):
        text.set_fontweight("bold" if chosen else "normal")
