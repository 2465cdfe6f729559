"""How far the model's gender moves with the strength of an edit, and what that costs elsewhere."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosslens.figures.style import (
    BLUE,
    BROWN,
    GREEN,
    GREY,
    ORANGE,
    PINK,
    RED,
    SKY,
    heading,
    labelled,
    nothing,
    save,
    style,
)
from crosslens.summary.names import short_name, site_name
from crosslens.summary.reading import Document
from crosslens.summary.steering_names import METHODS
from crosslens.tables.documents import read_table

COLOURS = dict(zip(METHODS, (BLUE, ORANGE, GREEN, RED, PINK, BROWN, SKY), strict=True))
BAND = (2.5, 97.5)
LEAST = 1e-4
"""Nats: the logarithmic axis of damage begins here."""


def draw_steering_figures(*, steering: Path, out: Path) -> None:
    """Write dose_response.png and frontier.png to the folder `out`; steering: folder of that kind."""
    document = Document(steering / "steering.json", "steering")
    doses = read_table(steering / "doses.parquet", "steering_doses")
    out.mkdir(parents=True, exist_ok=True)
    save(dose_response(doses, document), out / "dose_response.png", doses[doses["how"] == "steer"])
    save(frontier(doses, document), out / "frontier.png", doses[doses["how"] == "neutralise"])


def dose_response(doses: pd.DataFrame, document: Document) -> Figure:
    """A row per language that is steered, a panel per language that the arms were found in."""
    languages, found = document("languages"), _found_in(doses)
    steered = doses[doses["how"] == "steer"]
    with style():
        figure = Figure(figsize=(3.6 * len(found), 3.1 * len(languages) + 1.0))
        grid = figure.subplots(len(languages), len(found), squeeze=False, sharex=True, sharey=True)
        for row, language in zip(grid, languages, strict=True):
            own = steered[steered["language"] == language]
            clean = document("of", language, "p_female", "value")
            for axes, source in zip(row, found, strict=True):
                _band(axes, own[own["method"] == "random"])
                axes.axhline(clean, color="#333333", linewidth=0.8, linestyle=":")
                for method, shade in COLOURS.items():
                    line = own[(own["method"] == method) & (own["found_in"] == source)]
                    if len(line):
                        axes.plot(
                            line["strength"],
                            line["p_female"],
                            color=shade,
                            linewidth=1.2,
                            label=METHODS[method],
                        )
                axes.set(ylim=(-0.02, 1.02), title=f"{short_name(language)}, found in {_source(source)}")
            row[0].set_ylabel("P(female word)")
        for axes in grid[-1]:
            axes.set_xlabel("strength")
        figure.legend(*_legend(grid), loc="outside right upper")
        heading(
            figure,
            f"What the model says of gender, steered at {site_name(document('site'))}",
            f"Mean over {_items(document)} of test. Strength 1: ‖δ‖ = {document('length'):.3g} of every arm. Dotted: without an "
            f"edit. Grey: 95 % of {document('random_sets')} random sets of features as frequent and as strong.",
        )
    return figure


def frontier(doses: pd.DataFrame, document: Document) -> Figure:
    """A panel per language: what is left of the bias on the way to neutral, by the damage."""
    languages = document("languages")
    neutral = doses[doses["how"] == "neutralise"]
    left = "D left, nats" if document("outcome") == "pairs" else "spread of P(female) over categories"
    with style():
        figure = Figure(figsize=(4.6 * len(languages), 4.6))
        grid = figure.subplots(1, len(languages), squeeze=False, sharey=True)
        for axes, language in zip(grid[0], languages, strict=True):
            own = neutral[neutral["language"] == language]
            axes.set_title(short_name(language))
            if own["left"].isna().all():
                nothing(axes, "the bias was not measured")
                continue
            random = own[own["method"] == "random"]
            axes.scatter(_cost(random), random["left"], s=9, color=GREY, label="random features")
            before = document("of", language, "left", "value")
            if before is not None:
                axes.axhline(before, color="#333333", linewidth=0.8, linestyle=":")
            for method, shade in COLOURS.items():
                for source in _found_in(doses):
                    line = own[(own["method"] == method) & (own["found_in"] == source)]
                    if len(line):
                        marker = "o" if source == language else "s" if source == "both" else "x"
                        axes.plot(
                            _cost(line),
                            line["left"],
                            marker=marker,
                            markersize=3.5,
                            linewidth=0.8,
                            color=shade,
                            label=METHODS[method],
                        )
            axes.set(xscale="log", xlabel="KL on what should not change, nats a token")
        grid[0][0].set_ylabel(left)
        figure.legend(*_legend(grid), loc="outside right upper")
        heading(
            figure,
            f"Bias left against quality lost, {site_name(document('site'))}",
            f"{_items(document)} of test; a quarter, half, three quarters and all of the way to the mean of the class means. "
            "Dotted: without an edit. Circles: found in the language itself, crosses: in another one, squares: in all "
            "together. KL below "
            f"{LEAST:g} is drawn there.",
        )
    return figure


def _found_in(doses: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(doses["found_in"][doses["method"] != "random"]))


def _source(found_in: str) -> str:
    return "all languages" if found_in == "both" else short_name(found_in)


def _items(document: Document) -> str:
    words = "sentences" if document("outcome") == "pairs" else "pictures"
    return (
        " and ".join(
            f"n = {document('of', language, 'items', 'test'):,} ({short_name(language)})"
            for language in document("languages")
        )
        + f" {words}"
    )


def _band(axes: Axes, random: pd.DataFrame) -> None:
    by = random.groupby("strength", sort=True)["p_female"]
    low, high = (by.quantile(q / 100) for q in BAND)
    axes.fill_between(low.index, low, high, color=GREY, alpha=0.4, linewidth=0, label="random features")


def _cost(rows: pd.DataFrame) -> np.ndarray:
    return rows["kl"].clip(lower=LEAST).to_numpy()


def _legend(grid: np.ndarray) -> tuple[list, list[str]]:
    handles = labelled(grid.flat)
    return list(handles.values()), list(handles)
