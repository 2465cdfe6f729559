"""Which categories have a feature of their own, over layers, sites and SAEs."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from crosslens.figures.style import heading, nothing, style
from crosslens.summary.names import corpus_name, short_name, site_name, site_order

LEVEL = 0.05
MOST = 24
"""Columns with names."""


def specialists_figure(rows: list[dict[str, Any]]) -> Figure:
    """Heat map category × (site, SAE, language) of the score of its best feature, 1 at most; rows: records of that name."""
    categories = sorted({row["category"] for row in rows})
    places = dict.fromkeys((row["site"], row["corpus"], row["language"]) for row in rows)
    columns = sorted(places, key=lambda place: (place[1], place[2], site_order(place[0])))
    with style():
        figure = Figure(figsize=(max(7.0, 2.6 + 0.55 * len(columns)), 2.4 + 0.34 * max(len(categories), 3)))
        axes = figure.subplots()
        if rows:
            grid = np.full((len(categories), len(columns)), np.nan)
            for row in rows:
                at = (
                    categories.index(row["category"]),
                    columns.index((row["site"], row["corpus"], row["language"])),
                )
                grid[at] = row["score"] / row["n_inside"]
                if row["p"] <= LEVEL:
                    axes.plot(at[1], at[0], "o", color="black", markersize=3)
            shown = axes.imshow(grid, vmin=-1, vmax=1, cmap="RdBu_r", aspect="auto")
            figure.colorbar(shown, ax=axes, label="score")
            tongues = len({row["language"] for row in rows}) > 1
            names = [
                f"{site_name(site)}\n{corpus_name(corpus)}{f', {short_name(language)}' if tongues else ''}"
                for site, corpus, language in columns
            ]
            step = max(1, -(-len(columns) // MOST))
            axes.set_xticks(range(0, len(columns), step), names[::step], rotation=60, ha="right", fontsize=7)
            axes.set_yticks(range(len(categories)), categories)
            axes.grid(visible=False)
        else:
            nothing(axes, "no categories, or too few of each")
        heading(
            figure,
            "Features that stand for one category",
            "Of each category the feature chosen on select. Score: test images of the category that it fires in less the "
            "others that it fires in, over the images of the category: 1 is all of them and no other. "
            f"Dot: p ≤ {LEVEL:g} by itself, categories permuted; the tables correct for the number of categories and of cases.",
        )
    return figure
