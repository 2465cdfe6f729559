"""How alike the sites of models are: CKA of every site with every site."""

from collections.abc import Sequence
from itertools import combinations_with_replacement

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from seaborn import heatmap

from crosslens.figures.style import heading, style
from crosslens.summary.names import site_order

_MOST_WRITTEN = 14


def comparison_figure(pairs: pd.DataFrame, *, samples: int, roles: Sequence[str], draws: int) -> Figure:
    """Unbiased CKA, a panel for every pair of models; a cross where no more than in the random pairings.

    pairs: rows (model_a, site_a, model_b, site_b, unbiased_cka, unbiased_null_max), each pair of sites once.
    """
    sites = {
        model: sorted(set(own), key=site_order)
        for model, own in pd.concat(
            [
                pairs[["model_a", "site_a"]].set_axis(["model", "site"], axis=1),
                pairs[["model_b", "site_b"]].set_axis(["model", "site"], axis=1),
            ]
        ).groupby("model", sort=False)["site"]
    }
    panels = list(combinations_with_replacement(sites, 2))
    both = pd.concat([pairs, pairs.rename(columns=_swapped)])
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    side = 1.8 + 0.32 * max(map(len, sites.values()))
    with style():
        figure = Figure(figsize=(max(6.5, side * columns + 1.4), (side + 0.3) * rows + 1.4))
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        for axes, (first, second) in zip(grid, panels, strict=False):
            own = both[(both["model_a"] == first) & (both["model_b"] == second)].drop_duplicates(
                ["site_a", "site_b"]
            )
            image = _panel(axes, own, sites[first], sites[second])
            axes.set(xlabel=f"site of {second}", ylabel=f"site of {first}")
        figure.colorbar(image, ax=grid.tolist(), label="unbiased CKA", shrink=0.8, extend="min")
        heading(
            figure,
            "How alike models represent the same texts",
            f"n = {samples} samples, each the mean of its {' and '.join(roles)} tokens. Unbiased linear CKA: 1 the same "
            f"up to rotation and scale,\n0 unrelated. Cross: not above the largest of {draws} random pairings of the "
            f"samples (largest of all: {pairs['unbiased_null_max'].max():.2f}).",
        )
    return figure


def _swapped(column: str) -> str:
    return column[:-1] + {"a": "b", "b": "a"}[column[-1]] if column[-2:] in ("_a", "_b") else column


def _panel(axes: Axes, pairs: pd.DataFrame, down: list[str], across: list[str]):
    values, null = (
        pairs.pivot(index="site_a", columns="site_b", values=column).loc[down, across].astype("float64")
        for column in ("unbiased_cka", "unbiased_null_max")
    )
    words = values.map("{:.2f}".format if max(values.shape) <= _MOST_WRITTEN else lambda value: "")
    words = words.where(values > null, "×")
    scale = {"cmap": "viridis", "vmin": 0, "vmax": 1, "cbar": False}
    heatmap(values, annot=words, fmt="", annot_kws={"fontsize": 6.5}, **scale, square=True, ax=axes)
    axes.tick_params(labelsize=8, length=0)
    axes.tick_params(axis="y", labelrotation=0)
    return axes.collections[0]
