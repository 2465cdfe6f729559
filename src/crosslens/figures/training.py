"""Training curves: how the dictionary learns."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosslens.figures.style import colour, heading, nothing, plain_log, style
from crosslens.summary.names import corpus_name, site_name

_PANELS = (
    ("loss", "loss", "Loss, as it is minimised"),
    ("fvu", "fraction of variance unexplained", "FVU"),
    ("l0", "active features per token", "L0"),
    ("dead_share", "share of all features", "Dead features"),
)
_LOGARITHMIC = ("loss", "fvu")


def training_figure(curves: pd.DataFrame, *, site: str, absent: Sequence[str] = ()) -> Figure:
    """Loss, FVU, L0 and the share of dead features against tokens seen, a line per corpus.

    curves: rows (corpus, tokens, loss, fvu, l0, dead_share). absent: corpora without a curve, which the figure names.
    """
    corpora = list(dict.fromkeys(curves["corpus"]))
    with style():
        figure = Figure(figsize=(11.5, 3.5))
        panels = figure.subplots(1, len(_PANELS))
        for axes, (column, unit, title) in zip(panels, _PANELS, strict=True):
            axes.set_title(title)
            if not corpora:
                nothing(axes, "no SAE was trained here")
                continue
            axes.set(xlabel="tokens seen (millions)", ylabel=unit)
            _lines(axes, curves, column, corpora)
        if corpora:
            figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center")
        heading(figure, f"SAE training, {site_name(site)}", _note(curves, corpora, absent))
    return figure


def _lines(axes: Axes, curves: pd.DataFrame, column: str, corpora: list[str]) -> None:
    for corpus in corpora:
        curve = curves[curves["corpus"] == corpus]
        axes.plot(
            curve["tokens"] / 1e6,
            curve[column],
            color=colour(corpus, corpora),
            linewidth=1.4,
            label=corpus_name(corpus),
        )
    axes.set_xlim(left=0)
    if column in _LOGARITHMIC and (curves[column] > 0).all():
        plain_log(axes, curves[column])
    else:
        axes.set_ylim(min(0.0, float(curves[column].min())), 1.08 * max(float(curves[column].max()), 1e-3))


def _note(curves: pd.DataFrame, corpora: list[str], absent: Sequence[str]) -> str:
    seen = curves.groupby("corpus")["tokens"].max()
    totals = ", ".join(f"{corpus_name(corpus)} {int(seen[corpus]):,}" for corpus in corpora)
    said = []
    if corpora:
        said.append(
            f"n = tokens seen in training: {totals}. Values of single logged batches, not of held-out data."
        )
    if absent:
        said.append(f"Trained elsewhere, without a curve: {', '.join(map(corpus_name, absent))}.")
    return "\n".join(said)
