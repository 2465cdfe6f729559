"""The settings of a sweep: what is left unexplained against how many features fire."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from crosslens.figures.style import colour, heading, save, style
from crosslens.summary.names import corpus_name, site_name
from crosslens.summary.reading import Document

_PANELS = (("fvu", "fraction of variance unexplained"), ("ce_recovered", "share of cross-entropy recovered"))


def draw_sweep(sweep: Path, out: Path) -> None:
    """Write pareto.png to the folder `out` from a result of kind `sweep`."""
    doc = Document(sweep, "sweep")
    columns = ("name", "l0", "fvu", "ce_recovered", "pareto")
    frame = pd.DataFrame([{name: setting[name] for name in columns} for setting in doc("settings")])
    frame["family"] = [s["changes"].get("architecture", "") or "study" for s in doc("settings")]
    tokens = [own["tokens"] for s in doc("settings") for own in s["languages"].values()]
    figure = pareto_figure(
        frame.assign(recommended=frame["name"] == doc("recommended")),
        site=doc("site"),
        corpus=doc("corpus"),
        tokens=max(tokens),
    )
    out.mkdir(parents=True, exist_ok=True)
    save(figure, out / "pareto.png")


def pareto_figure(settings: pd.DataFrame, *, site: str, corpus: str, tokens: int) -> Figure:
    """FVU and CE recovered against L0; the Pareto set joined, the recommended setting ringed.

    settings: rows (name, l0, fvu, ce_recovered, pareto, recommended, family).
    """
    families = list(dict.fromkeys(settings["family"]))
    with style():
        figure = Figure(figsize=(10, 4.2))
        panels = figure.subplots(1, 2)
        for axes, (column, label) in zip(panels, _PANELS, strict=True):
            front = settings[settings["pareto"]].sort_values("l0")
            axes.plot(front["l0"], front[column], color="0.75", linewidth=1.2, zorder=1)
            for family in families:
                rows = settings[settings["family"] == family]
                axes.scatter(
                    rows["l0"],
                    rows[column],
                    color=colour(family, families),
                    s=34,
                    zorder=2,
                    label="the study's settings" if family == "study" else family,
                )
            chosen = settings[settings["recommended"]]
            axes.scatter(
                chosen["l0"],
                chosen[column],
                s=150,
                facecolors="none",
                edgecolors="0.1",
                zorder=3,
                label="recommended",
            )
            for row in settings.itertuples():
                axes.annotate(
                    row.name,
                    (row.l0, getattr(row, column)),
                    xytext=(5, 4),
                    textcoords="offset points",
                    fontsize=6.5,
                )
            axes.set_xscale("log")
            axes.set(xlabel="active features per token (L0)", ylabel=label)
            axes.margins(0.15)
        panels[0].legend(loc="best")
        heading(
            figure,
            f"Sweep of SAE settings, {corpus_name(corpus)}, {site_name(site)}",
            f"n = {tokens:,} held-out test tokens a language, means over languages. Line: no other setting has both a "
            "smaller L0 and a smaller FVU.",
        )
    return figure
