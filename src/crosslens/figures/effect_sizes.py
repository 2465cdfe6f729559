"""Do two languages agree on which features are gendered? Effect size against effect size."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosslens.figures.style import BLUE, GREY, ORANGE, RED, heading, nothing, style
from crosslens.summary.conditions import Record, condition_name
from crosslens.summary.names import corpus_name, in_groups, short_name, site_name

_MARKS = {
    "not chosen": ("not chosen on select", GREY, "."),
    "neither": ("chosen, confirmed in neither", RED, "x"),
    "first": ("chosen, confirmed in {first} only", BLUE, "^"),
    "second": ("chosen, confirmed in {second} only", ORANGE, "v"),
    "both": ("chosen, confirmed in both", "#111111", "o"),
}
"""status -> (label, colour, marker)"""
FAMILIES = {"live": "all live", "chosen": "chosen"}


WHOSE = ["first", "second", "condition"]
"""What a panel is of: a pair of languages and a condition."""


def effect_sizes_figure(
    points: pd.DataFrame,
    agreement: pd.DataFrame,
    *,
    site: str,
    corpus: str = "joint",
    words: Sequence[Record] = (),
) -> Figure:
    """Cohen's d in one language against d in the other: a point per feature live in both.

    A row of panels per pair of languages, a panel per condition. points: rows (*WHOSE, feature, d_first, d_second, status),
    status in not chosen/neither/first/second/both: chosen = significant on select in a language, then where it is
    significant on test. agreement: rows (*WHOSE, family, r, low, high, features, images, groups, pairing_low, pairing_high,
    labels_low, labels_high), as in the cross-lingual result. words: records of kind words.
    """
    conditions = list(dict.fromkeys(agreement["condition"]))
    pairs = list(dict.fromkeys(zip(agreement["first"], agreement["second"], strict=True)))
    size = max(len(pairs), 1), max(len(conditions), 1)
    with style():
        figure = Figure(figsize=(5.1 * size[1] + 0.4, 0.5 + 6.1 * size[0]))
        grid = figure.subplots(*size, squeeze=False)
        if not conditions:
            nothing(grid[0, 0])
        for panels, languages in zip(grid, pairs, strict=False):
            for axes, condition in zip(panels, conditions, strict=True):
                some, told = (
                    frame[(frame[WHOSE] == [*languages, condition]).all(axis=1)]
                    for frame in (points, agreement)
                )
                _panel(axes, some, told, languages, condition_name(condition, words, languages))
        heading(
            figure,
            f"Gender effects in two languages, {corpus_name(corpus)}, {site_name(site)}",
            "A point is a feature live in both languages; d on the test split. "
            "Brackets: range of r, pictures or texts drawn anew. Chosen: significant on select in a language.\n"
            "Confirmed: q ≤ the study's level on test. Nulls: 95 % interval of r with the features paired at random, "
            "and with the gender labels shuffled.",
        )
    return figure


def _panel(
    axes: Axes, points: pd.DataFrame, agreement: pd.DataFrame, languages: tuple[str, str], title: str
) -> None:
    # without the Arabic script: turned by 90 degrees it is hard to read
    first, second = map(short_name, languages)
    lines = [title, *map(_words, agreement.itertuples())]
    if points.empty:
        nothing(axes, f"no feature is live in both {first} and {second}")
    else:
        _scatter(axes, points, first, second)
        axes.set_xlabel(f"Cohen's d, {first} (female − male)")
        axes.set_ylabel(f"Cohen's d, {second} (female − male)")
    axes.set_title("\n".join(lines), fontsize=8)


def _scatter(axes: Axes, points: pd.DataFrame, first: str, second: str) -> None:
    limit = 1.06 * float(points[["d_first", "d_second"]].abs().to_numpy().max() or 1.0)
    for status, (label, shade, marker) in _MARKS.items():
        some = points[points["status"] == status]
        axes.scatter(
            some["d_first"],
            some["d_second"],
            s=18,
            marker=marker,
            color=shade,
            alpha=0.5 if status == "not chosen" else 0.8,
            linewidths=0 if marker != "x" else 1.0,
            label=f"{label.format(first=first, second=second)} ({len(some):,})",
        )
    axes.plot([-limit, limit], [-limit, limit], color="#333333", linewidth=0.7, linestyle=":")
    axes.axhline(0, color="#333333", linewidth=0.6)
    axes.axvline(0, color="#333333", linewidth=0.6)
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit))
    axes.legend(loc="upper left", fontsize=7.5, frameon=True, framealpha=0.75, edgecolor="none")


def _words(row) -> str:
    name = FAMILIES.get(row.family, row.family)
    if pd.isna(row.r):
        return f"{name}: n = {int(row.features):,} features, too few for a correlation"
    text = f"{name}: r = {row.r:.2f}"
    if not pd.isna(row.low):
        text += f" [{row.low:.2f}, {row.high:.2f}]"
    text += f", n = {int(row.features):,} features, {int(row.images):,} pictures or texts"
    text += in_groups(int(row.images), int(row.groups))
    if not pd.isna(row.pairing_low):
        text += (
            f"\n    null: pairing {row.pairing_low:.2f} to {row.pairing_high:.2f}, "
            f"labels {row.labels_low:.2f} to {row.labels_high:.2f}"
        )
    return text.replace("-", "−")
