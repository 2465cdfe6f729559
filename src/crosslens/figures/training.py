"""Training curves: how the dictionary learns."""

import pandas as pd
from matplotlib.figure import Figure

from crosslens.figures.style import colour, heading, plain_log, style
from crosslens.summary.names import corpus_name, site_name

_PANELS = (
    ("fvu", "fraction of variance unexplained", "FVU on the training batch"),
    ("l0", "active features per token", "L0"),
    ("dead_share", "share of all features", "Dead features"),
)


def training_figure(curves: pd.DataFrame, *, site: str) -> Figure:
    """FVU, L0 and the share of dead features against tokens seen, a line per corpus.

    curves: rows (corpus, tokens, fvu, l0, dead_share).
    """
    corpora = list(dict.fromkeys(curves["corpus"]))
    with style():
        figure = Figure(figsize=(10, 3.4))
        panels = figure.subplots(1, len(_PANELS))
        for axes, (column, unit, title) in zip(panels, _PANELS, strict=True):
            for corpus in corpora:
                curve = curves[curves["corpus"] == corpus]
                axes.plot(
                    curve["tokens"] / 1e6,
                    curve[column],
                    color=colour(corpus, corpora),
                    linewidth=1.4,
                    label=corpus_name(corpus),
                )
            axes.set(title=title, xlabel="tokens seen (millions)", ylabel=unit)
            axes.set_xlim(left=0)
            axes.set_ylim(0, 1.08 * max(float(curves[column].max()), 1e-3))
        if (curves["fvu"] > 0).all():
            plain_log(panels[0], curves["fvu"])
        panels[-1].legend(loc="best")
        totals = ", ".join(
            f"{corpus_name(corpus)} {int(curves.loc[curves['corpus'] == corpus, 'tokens'].max()):,}"
            for corpus in corpora
        )
        heading(
            figure,
            f"SAE training, {site_name(site)}",
            f"n = tokens seen in training: {totals}. Values of single logged batches, not of held-out data.",
        )
    return figure
