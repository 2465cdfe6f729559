"""How good the dictionaries are, next to what simpler codes reach."""

import pandas as pd
from matplotlib.figure import Figure

from crosslens.figures.sites import runs, site_ticks
from crosslens.figures.style import colour, heading, nothing, style
from crosslens.summary.names import corpus_name, is_pretrained, language_name, main_corpora, site_order

_PANELS = (
    ("ev", "explained variance", "Explained variance (1 = perfect)"),
    ("l0", "active features per token", "L0"),
    (
        "ce_recovered",
        "share of the loss recovered",
        "Cross-entropy recovered (ablation: zeros)",
    ),
    ("ce_recovered_mean", "share of the loss recovered", "Cross-entropy recovered (ablation: the mean)"),
)
_BASELINES = {
    "pca": ("x", "PCA of rank L0"),
    "token_mean": ("+", "mean of each token"),
    "random_dictionary": ("1", "random dictionary"),
}
_PRETRAINED = ("D:", "^:", "v:", "P:")


def quality_figure(quality: pd.DataFrame) -> Figure:
    """EV with baselines, L0 and CE recovered (two ablations) against the site; colour = language, line = corpus.

    quality: rows (site, corpus, language, metric, baseline, value, low, high, n): metric one of _PANELS; baseline is "" for
    the SAE or one of pca/token_mean/random_dictionary; rows with no value are left out by the caller.
    """
    sites = sorted(set(quality["site"]), key=site_order)
    languages, marks = list(dict.fromkeys(quality["language"])), _marks(quality["corpus"])
    with style():
        figure = Figure(figsize=(11.5, 7.4))
        panels = figure.subplots(2, 2).flat
        for axes, (metric, unit, title) in zip(panels, _PANELS, strict=True):
            rows = quality[quality["metric"] == metric]
            axes.set(title=title)
            if rows.empty:
                nothing(axes)
                continue
            shown = main_corpora(rows.to_dict("records"))
            aside = _aside(rows)
            for key, line in rows.groupby(["corpus", "language", "baseline"], sort=False):
                corpus, language, baseline = key
                if not baseline or corpus == shown[language]:
                    _line(axes, line, sites, languages, marks[corpus], aside.get(key, 0.0), *key)
            site_ticks(axes, sites)
            axes.set(ylabel=unit)
            if metric == "l0":
                axes.set_ylim(0, 1.08 * rows["value"].max())
            elif metric != "ev":
                # tiny differences near 1 must not fill the panel
                lowest = min(0.8, rows[["value", "low"]].min().min())
                axes.set_ylim(lowest - 0.04 * (1 - lowest), 1 + 0.04 * (1 - lowest))
        handles, labels = figure.axes[0].get_legend_handles_labels()
        known = dict(zip(labels, handles, strict=True))
        figure.legend(known.values(), known.keys(), loc="outside right center", fontsize=8)
        tokens = quality.loc[quality["metric"] == "ev", "n"]
        n = "n not recorded" if tokens.empty else f"n = {_span(tokens)} held-out test tokens a language"
        heading(
            figure,
            "SAE quality per layer",
            f"{n}. Markers without a line: baselines on the same tokens, with the L0 of the first SAE of a language.\n"
            "Bars: 95 % CI over pictures or texts (cross-entropy only). Cross-entropy recovered: 1 where the SAE in the "
            "activation's place costs nothing, 0 where as much as the ablation, negative where more; no point where the "
            "ablation costs nothing.",
        )
    return figure


def _marks(corpora: pd.Series) -> dict[str, str]:
    """Marker and line of each SAE: joint, of one language, of others."""
    marks = {corpus: "o-" if corpus == "joint" else "s--" for corpus in corpora}
    for i, corpus in enumerate(filter(is_pretrained, marks)):
        marks[corpus] = _PRETRAINED[i % len(_PRETRAINED)]
    return marks


def _aside(rows: pd.DataFrame) -> dict[tuple[str, str, str], float]:
    """How far beside its site each line stands, so that the intervals of several can be told apart."""
    lines = rows.loc[rows["baseline"] == "", ["corpus", "language", "baseline"]]
    keys = list(lines.drop_duplicates().itertuples(index=False, name=None))
    step = min(0.06, 0.4 / max(len(keys), 1))
    return {key: step * (i - (len(keys) - 1) / 2) for i, key in enumerate(keys)}


def _line(axes, line, sites, languages, line_mark, aside, corpus, language, baseline) -> None:
    line = line.sort_values("site", key=lambda column: column.map(sites.index))
    x = line["site"].map(sites.index) + aside
    shade = colour(language, languages)
    if baseline:
        mark, name = _BASELINES.get(baseline, ("2", baseline))
        label = f"{name}, {language_name(language)}"
        axes.plot(x, line["value"], mark, color=shade, markersize=7, label=label)
        return
    bounded = line["low"].notna().to_numpy()
    axes.vlines(x[bounded], line["low"][bounded], line["high"][bounded], color=shade, linewidth=1.2)
    for n, run in enumerate(runs(line["site"].tolist())):
        at = line["site"].isin(run)
        axes.plot(
            x[at],
            line["value"][at],
            line_mark,
            color=shade,
            markersize=4.5,
            linewidth=1.3,
            markerfacecolor=shade if corpus == "joint" else "white",
            label=f"{corpus_name(corpus)}, {language_name(language)}" if n == 0 else None,
        )


def _span(values: pd.Series) -> str:
    low, high = int(values.min()), int(values.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
