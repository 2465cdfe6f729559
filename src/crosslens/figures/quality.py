"""How good the dictionaries are, next to what simpler codes reach."""

import pandas as pd
from matplotlib.figure import Figure

from crosslens.figures.style import colour, heading, nothing, style
from crosslens.summary.names import corpus_name, language_name, site_name, site_order

_PANELS = (
    ("ev", "explained variance", "Explained variance (1 = perfect)"),
    ("l0", "active features per token", "L0"),
    ("ce_recovered", "share of the loss recovered", "Cross-entropy recovered"),
)
_BASELINES = {
    "pca": ("x", "PCA of rank L0"),
    "token_mean": ("+", "mean of each token"),
    "random_dictionary": ("1", "random dictionary"),
}


def quality_figure(quality: pd.DataFrame) -> Figure:
    """EV with baselines, L0 and CE recovered against the site; colour = language, line = corpus.

    quality: rows (site, corpus, language, metric, baseline, value, low, high, n): metric ev/l0/ce_recovered; baseline is "" for
    the SAE or one of pca/token_mean/random_dictionary; rows with no value are left out by the caller.
    """
    sites = sorted(set(quality["site"]), key=site_order)
    languages = list(dict.fromkeys(quality["language"]))
    with style():
        figure = Figure(figsize=(11.5, 4.6))
        panels = figure.subplots(1, len(_PANELS))
        for axes, (metric, unit, title) in zip(panels, _PANELS, strict=True):
            rows = quality[quality["metric"] == metric]
            axes.set(title=title)
            if rows.empty:
                nothing(axes)
                continue
            joint = set(rows.loc[rows["corpus"] == "joint", "language"])
            for key, line in rows.groupby(["corpus", "language", "baseline"], sort=False):
                corpus, language, baseline = key
                if not baseline or corpus == "joint" or language not in joint:
                    _line(axes, line, sites, languages, *key)
            axes.set_xticks(range(len(sites)), [site_name(site) for site in sites])
            axes.set_xlim(-0.4, len(sites) - 0.6)
            axes.set(ylabel=unit)
            if metric == "l0":
                axes.set_ylim(0, 1.08 * rows["value"].max())
            elif metric == "ce_recovered":
                # tiny differences near 1 must not fill the panel
                axes.set_ylim(min(0.8, rows[["value", "low"]].min().min() - 0.02), 1.01)
        handles, labels = panels[0].get_legend_handles_labels()
        known = dict(zip(labels, handles, strict=True))
        figure.legend(known.values(), known.keys(), loc="outside right center", fontsize=8)
        tokens = quality.loc[quality["metric"] == "ev", "n"]
        n = "n not recorded" if tokens.empty else f"n = {_span(tokens)} held-out test tokens a language"
        heading(
            figure,
            "SAE quality per layer",
            f"{n}. Markers without a line: baselines of the joint SAE on the same tokens. "
            "Bars: 95 % CI over pictures (cross-entropy only).",
        )
    return figure


def _line(axes, line, sites, languages, corpus, language, baseline) -> None:
    line = line.sort_values("site", key=lambda column: column.map(sites.index))
    x = line["site"].map(sites.index)
    shade = colour(language, languages)
    if baseline:
        mark, name = _BASELINES.get(baseline, ("2", baseline))
        label = f"{name}, {language_name(language)}"
        axes.plot(x, line["value"], mark, color=shade, markersize=7, label=label)
        return
    bounded = line["low"].notna().to_numpy()
    axes.vlines(x[bounded], line["low"][bounded], line["high"][bounded], color=shade, linewidth=1.2)
    axes.plot(
        x,
        line["value"],
        "o-" if corpus == "joint" else "s--",
        color=shade,
        markersize=4.5,
        linewidth=1.3,
        markerfacecolor=shade if corpus == "joint" else "white",
        label=f"{corpus_name(corpus)}, {language_name(language)}",
    )


def _span(values: pd.Series) -> str:
    low, high = int(values.min()), int(values.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
