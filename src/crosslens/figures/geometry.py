"""Directions in use, bits of gender and the circuits of heads, over the layers of a study."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosslens.figures.sites import runs, site_ticks
from crosslens.figures.style import colour, heading, labelled, nothing, save, stacked, style, tidy
from crosslens.summary.names import corpus_name, main_corpora, short_name, site_order
from crosslens.summary.reading import Document

Record = dict[str, Any]
CIRCUITS = {"ov": "moved (OV)", "qk": "compared (QK)"}
STYLES = {"caption": "-", "prompt": "--"}


def geometry_figures(*, layers: dict[str, Path], circuits: Path | None, out: Path) -> None:
    """Write geometry.png and circuits.png to the folder `out`.

    layers: site → its summary; circuits: JSON of that kind, where it was asked for. Raises InputError where a file or field is
    missing.
    """
    out.mkdir(parents=True, exist_ok=True)
    summaries = [Document(path, "layer") for path in layers.values()]
    records = {
        name: [record for summary in summaries for record in summary.records(name)]
        for name in ("dimensions", "information")
    }
    sites = sorted(layers, key=site_order)
    figure = geometry_figure(records["dimensions"], records["information"], sites)
    save(figure, out / "geometry.png", stacked(**{name: tidy(rows) for name, rows in records.items()}))
    doc = Document(circuits, "circuits") if circuits else None
    save(circuits_figure(doc), out / "circuits.png", tidy(doc("heads") if doc else []))


def geometry_figure(dimensions: list[Record], information: list[Record], sites: list[str]) -> Figure:
    """Effective rank with its interval, participation ratio, and what the most telling feature tells beside its null."""
    languages = list(dict.fromkeys(record["language"] for record in dimensions))
    with style():
        figure = Figure(figsize=(12.5, 4.2))
        rank, ratio, bits = figure.subplots(1, 3)
        for language in languages:
            own = [record for record in dimensions if record["language"] == language]
            shade, name = colour(language, languages), short_name(language)
            _lines(rank, own, sites, "effective_rank", shade, name)
            for record in own:
                if record["bits_low"] is not None:
                    x = sites.index(record["site"])
                    rank.plot(
                        [x, x], [2 ** record["bits_low"], 2 ** record["bits_high"]], color=shade, linewidth=1
                    )
            _lines(ratio, own, sites, "participation_ratio", shade, name)
        told = [record for record in information if record["tested"]]
        corpora = main_corpora(told)
        for language in languages:
            shade = colour(language, languages)
            for condition in dict.fromkeys(record["condition"] for record in told):
                own = [
                    {**record, "bound": record["null"]["strongest_q95"]}
                    for record in told
                    if (record["language"], record["condition"]) == (language, condition)
                    and record["corpus"] == corpora[language]
                ]
                name = f"{short_name(language)}, {condition}"
                line = STYLES.get(condition, "-.")
                _lines(bits, own, sites, "strongest", shade, name, line)
                _lines(bits, own, sites, "bound", shade, None, ":")
        rank.set(title="Effective rank of caption tokens", ylabel="directions")
        ratio.set(title="Participation ratio", ylabel="directions")
        saes = ", ".join(dict.fromkeys(map(corpus_name, corpora.values())))
        bits.set(
            title=f"Bits of gender, most telling feature\n{saes}" if saes else "Bits of gender", ylabel="bits"
        )
        for axes, found in ((rank, dimensions), (ratio, dimensions), (bits, told)):
            site_ticks(axes, sites)
            if not found:
                nothing(axes)
        handles = labelled([rank, bits])
        if handles:
            figure.legend(handles.values(), handles.keys(), loc="outside right center")
        heading(
            figure,
            "Directions in use, and bits of gender",
            "Effective rank: 2 to the entropy of the shares of variance of centred tokens, sinks left out; bars: 95 % interval, "
            "by jackknife over pictures or texts, freed of the bias of few tokens.\nBits: mutual information of gender and one "
            "feature's mean activation on test; dotted: 95 % of what the best of all features tells under shuffled labels.",
        )
    return figure


def _lines(
    axes: Axes,
    records: list[Record],
    sites: list[str],
    name: str,
    shade: str,
    label: str | None,
    line: str = "-",
) -> None:
    """One value over the sites, a line for each kind of site."""
    at = {record["site"]: record[name] for record in records if record[name] is not None}
    for i, run in enumerate(runs([site for site in sites if site in at])):
        x = [sites.index(site) for site in run]
        marker = "" if line == ":" and len(run) > 1 else "o"
        own = label if i == 0 else None
        axes.plot(x, [at[site] for site in run], line, marker=marker, markersize=4, color=shade, label=own)


def circuits_figure(doc: Document | None) -> Figure:
    """Heat maps layer × head of effective rank and of the sign of the eigenvalues, of what heads move and compare."""
    heads = doc("heads") if doc else []
    with style():
        figure = Figure(figsize=(12.5, 4.4))
        panels = figure.subplots(1, 4)
        for axes, (circuit, name, words) in zip(
            panels,
            [
                (c, n, w)
                for c in CIRCUITS
                for n, w in (("effective_rank", "effective rank"), ("positive", "Σ Re λ / Σ |λ|"))
            ],
            strict=True,
        ):
            axes.set_title(f"What is {CIRCUITS[circuit]}\n{words}", fontsize=9)
            if not heads:
                nothing(axes, f"not available for {doc('family')}" if doc else "not asked for")
                continue
            grid = np.full((doc("layers"), 1 + max(head["head"] for head in heads)), np.nan)
            for head in heads:
                grid[head["layer"], head["head"]] = (
                    np.nan if head[circuit][name] is None else head[circuit][name]
                )
            span = (
                {"vmin": -1, "vmax": 1, "cmap": "RdBu_r"}
                if name == "positive"
                else {"vmin": 1, "cmap": "viridis"}
            )
            shown = axes.imshow(grid, aspect="auto", origin="lower", **span)
            axes.set(xlabel="head", ylabel="block")
            axes.grid(visible=False)
            for axis, length in ((axes.xaxis, grid.shape[1]), (axes.yaxis, grid.shape[0])):
                axis.set_ticks(range(0, length, max(1, -(-length // 10))))
            figure.colorbar(shown, ax=axes)
        note = "Weights alone, gains of the norms folded in; biases, rotary positions and what norms divide a token by left out."
        if heads:
            note += (
                f" A head can have {doc('d_head')} directions. Eigenvalues above 0: what is read is copied, or like attends "
                "to like."
            )
        if doc and heads and doc("not_available"):
            note += f"\nWithout heads that are known: blocks {', '.join(map(str, doc('not_available')))}."
        heading(figure, "Circuits of the attention heads", note)
    return figure
