"""How often features fire: the density histogram."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosslens.figures.style import colour, heading, style
from crosslens.summary.names import corpus_name, language_name, site_name


def density_figure(density: pd.DataFrame, features: pd.DataFrame, *, site: str) -> Figure:
    """Histograms of log10 firing frequency: a column per language, in it a panel per SAE measured on that language.

    density: rows (corpus, language, low, high, count), a bin of log10 frequency each.
    features: rows (corpus, language, live, d_sae, n_tokens).
    """
    languages = list(dict.fromkeys(features["language"]))
    columns = {language: features[features["language"] == language] for language in languages}
    depth = max(len(rows) for rows in columns.values())
    with style():
        figure = Figure(figsize=(4.6 * max(len(languages), 2), 1.0 + 2.1 * depth))
        grid = figure.subplots(depth, len(languages), sharex=True, squeeze=False)
        for j, (language, rows) in enumerate(columns.items()):
            for i in range(depth):
                if i >= len(rows):
                    grid[i][j].set_axis_off()
                    continue
                row = rows.iloc[i]
                at = (density["corpus"] == row["corpus"]) & (density["language"] == language)
                _panel(grid[i][j], density[at], row, colour(language, languages))
            last = grid[len(rows) - 1][j]
            last.set_xlabel("log10 firing frequency (share of tokens)")
            last.tick_params(labelbottom=True)
        heading(
            figure,
            f"Feature density, {site_name(site)}",
            "Share of held-out test tokens on which a feature fires; features that never fire are not drawn.",
        )
    return figure


def _panel(axes: Axes, bins: pd.DataFrame, row: pd.Series, shade: str) -> None:
    width = bins["high"] - bins["low"]
    axes.bar(bins["low"], bins["count"], width, align="edge", color=shade, edgecolor="white", linewidth=0.3)
    axes.set_title(
        f"{corpus_name(row['corpus'])} on {language_name(row['language'])}\n"
        f"n = {int(row['live']):,} live of {int(row['d_sae']):,} features, {int(row['n_tokens']):,} tokens",
        fontsize=8.5,
    )
    axes.set_ylabel("features")
