"""A panel for each condition and language, as figures of gender have them."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosslens.summary.conditions import Record, condition_name
from crosslens.summary.names import language_name


def grid_of(rows: pd.DataFrame) -> tuple[Figure, np.ndarray]:
    """A figure with a row per condition and a column per language of `rows`: (conditions, languages) axes, one at least."""
    languages, conditions = rows["language"].nunique(), rows["condition"].nunique()
    figure = Figure(figsize=(4.6 * max(languages, 2), 1.3 + 2.7 * max(conditions, 1)))
    return figure, figure.subplots(
        max(conditions, 1), max(languages, 1), sharex=True, sharey=True, squeeze=False
    )


def panels(
    rows: pd.DataFrame, grid: np.ndarray, words: Sequence[Record]
) -> Iterator[tuple[Axes, pd.DataFrame, str]]:
    """Each panel of `grid_of` with its rows and its title. words: records of kind words, which say what leaks."""
    languages, conditions = (list(dict.fromkeys(rows[key])) for key in ("language", "condition"))
    for i, condition in enumerate(conditions):
        for j, language in enumerate(languages):
            at = (rows["language"] == language) & (rows["condition"] == condition)
            title = f"{language_name(language)} · {condition_name(condition, words, [language])}"
            yield grid[i][j], rows[at], title
