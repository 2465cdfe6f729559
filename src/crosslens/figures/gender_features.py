"""The features that tell female from male apart, English beside Arabic."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from crosslens.figures.style import FEMALE, MALE, heading, nothing, style
from crosslens.summary.conditions import Record, condition_name
from crosslens.summary.names import ONE_SEED, corpus_name, language_name, site_name


def gender_features_figure(effects: pd.DataFrame, *, site: str, words: Sequence[Record] = ()) -> Figure:
    """Cohen's d on test, with its CI, of the features chosen on select; a column per language.

    effects: rows (corpus, language, condition, side, rank, feature, d, d_low, d_high, auroc, n_female, n_male, confirmed,
    seeds, seeds_kept), side "female" or "male"; a positive d is stronger for female. A row without a feature: nothing was
    chosen. No d is an infinite one: nothing varies within the genders, and auroc says which is higher. words: records of kind
    words.
    """
    languages = list(dict.fromkeys(effects["language"]))
    conditions = list(dict.fromkeys(effects["condition"]))
    rows = effects.groupby(["language", "condition"], sort=False).size()
    tallest = int(rows.max()) if len(rows) else 1
    height = 1.2 + max(len(conditions), 1) * (0.8 + 0.24 * tallest)
    with style():
        figure = Figure(figsize=(5.0 * max(len(languages), 2), height))
        grid = figure.subplots(max(len(conditions), 1), max(len(languages), 1), sharex=True, squeeze=False)
        for i, condition in enumerate(conditions):
            for j, language in enumerate(languages):
                at = (effects["language"] == language) & (effects["condition"] == condition)
                title = f"{language_name(language)} · {condition_name(condition, words, [language])}"
                _panel(grid[i][j], effects[at], title)
        if effects.empty:
            nothing(grid[0][0])
        for axes in grid[-1]:
            axes.set_xlabel("Cohen's d, female − male (pooled sd)")
        heading(
            figure,
            f"Top gendered features, {site_name(site)}",
            "Chosen on the select split (significant there, largest d), shown on the test split. "
            "Bars: 95 % CI over pictures or texts, where enough fire for one.\nFilled: significant on test too, in the same "
            "direction (rank test, BH over testable features); hollow: not. Pink: chosen as female, green: as male.\n"
            + (
                "Behind a feature: in how many of the other seeds its counterpart is gendered in the same direction."
                if (effects["seeds"] > 0).any()
                else ONE_SEED
            ),
        )
    return figure


def _panel(axes, effects: pd.DataFrame, title: str) -> None:
    if effects.empty:
        axes.set_title(title)
        nothing(axes)
        return
    first = effects.iloc[0]
    axes.set_title(
        f"{title}\n{corpus_name(first['corpus'])}, n = {int(first['n_female'])} female + "
        f"{int(first['n_male'])} male",
        fontsize=8.5,
    )
    effects = effects.dropna(subset=["feature"])
    if effects.empty:
        nothing(axes, "no feature was significant on select")
        return
    order = {"female": 0, "male": 1}
    effects = effects.sort_values(["side", "rank"], key=lambda c: c.map(order) if c.name == "side" else c)
    for y, row in enumerate(effects.itertuples()):
        shade = FEMALE if row.side == "female" else MALE
        if pd.notna(row.d_low) and pd.notna(row.d_high):
            axes.plot([row.d_low, row.d_high], [y, y], color=shade, linewidth=1.6, gid="ci")
        inside = shade if row.confirmed else "white"
        if pd.notna(row.d):
            axes.plot([row.d], [y], "o", color=shade, markersize=5, markerfacecolor=inside)
        elif pd.notna(row.auroc):
            axes.text(0, y, f"d infinite, AUROC {row.auroc:.2f}", color=shade, fontsize=7, va="center")
    axes.axvline(0, color="#333333", linewidth=0.8)
    axes.set_yticks(range(len(effects)), [_called(row) for row in effects.itertuples()], fontsize=8)
    axes.set_ylim(len(effects) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)


def _called(row) -> str:
    """A feature, and in how many of the other seeds it was found again, where there are any."""
    return f"#{int(row.feature)}" + (f" ({int(row.seeds_kept)}/{int(row.seeds)})" if row.seeds else "")
