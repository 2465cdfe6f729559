"""Samples and decoder rows in the plane, coloured by gender, language and category."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crosslens.figures.style import (
    BLUE,
    BROWN,
    FEMALE,
    GREEN,
    GREY,
    MALE,
    ORANGE,
    PINK,
    RED,
    SKY,
    colour,
    heading,
    nothing,
    save,
    style,
)
from crosslens.summary.names import corpus_name, short_name, site_name
from crosslens.summary.reading import Document, read_parquet

METHODS = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}
PALE = "#CFCFCF"
SHADES = (BLUE, ORANGE, GREEN, RED, PINK, BROWN, SKY)
MOSTLY = 3.0
"""A feature is drawn as one language's where the share of samples in which it fires is so many times that of any other."""
GENDERS = {"female": FEMALE, "male": MALE}


def map_figures(
    *,
    samples: Path,
    decoders: dict[str, Path],
    features: dict[str, Path],
    effects: dict[str, Path],
    out: Path,
) -> None:
    """Write samples_map.png and decoder_map.png to the folder `out`.

    samples: the folder of `sample_map`; decoders: corpus → that of `decoder_map`; features, effects:
    `{corpus}/{language}` → parquet of those kinds. Raises InputError where a file or field is missing.
    """
    out.mkdir(parents=True, exist_ok=True)
    save(samples_figure(samples), out / "samples_map.png", sample_frame(samples))
    told = {corpus: decoder_frame(folder, corpus, features, effects) for corpus, folder in decoders.items()}
    save(
        decoders_figure(decoders, told, Document(samples / "map.json", "sample_map")("languages")),
        out / "decoder_map.png",
        pd.concat([of.assign(corpus=corpus) for corpus, of in told.items()], ignore_index=True),
    )


def sample_frame(folder: Path) -> pd.DataFrame:
    """Rows of the points: language, gender, category, and places in each map."""
    methods = _methods(Document(folder / "map.json", "sample_map"))
    columns = ["language", "gender", "category", *_columns(methods)]
    return read_parquet(folder / "map.parquet", "sample_embedding", columns)


def samples_figure(folder: Path) -> Figure:
    """A row a method, a column a label; what has no label is pale."""
    doc, table = Document(folder / "map.json", "sample_map"), sample_frame(folder)
    methods = _methods(doc)
    labels = [label for label in ("gender", "language", "category") if _values(doc, label) > 1] or [
        "language"
    ]
    share = {(row["label"], row["space"]): row for row in doc("labels")}
    with style():
        figure = Figure(figsize=(3.9 * max(len(labels), 2), 1.4 + 3.4 * len(methods)))
        grid = figure.subplots(len(methods), len(labels), squeeze=False)
        for row, method in zip(grid, methods, strict=True):
            for axes, label in zip(row, labels, strict=True):
                shown, shades = sample_colours(table[label], label, doc("languages"))
                _points(axes, table, method, shown, shades)
                axes.set_title(_title(doc, method, share[label, method], label), fontsize=8.5)
        for axes in grid[-1]:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.04), ncols=3, fontsize=7, markerscale=1.8)
        note = (
            f"Each point: one text or picture in one language ({doc('condition')} tokens, label words left out), n = "
            f"{doc('points'):,} points of {doc('images'):,}. Neighbours alike: share of a point's {doc('neighbours')} nearest in "
            "the map, its own picture or text left out, that have its label; behind the slash under shuffled labels.\n"
            "Sizes of and distances between clusters of t-SNE and UMAP mean nothing."
        )
        heading(figure, f"Samples in the plane, {site_name(doc('site'))}", note)
    return figure


def sample_colours(values: pd.Series, label: str, languages: list[str]) -> tuple[np.ndarray, dict[str, str]]:
    """What each point is called ("" where it has no label) and the colours of the names."""
    if label == "gender":
        shades = GENDERS
    elif label == "language":
        shades = {short_name(language): colour(language, languages) for language in languages}
        values = values.map(short_name)
    else:
        names = values[values != ""].value_counts(sort=True)
        names = sorted(sorted(names.index), key=lambda name: -names[name])
        shades = dict(zip(names, SHADES, strict=False))
        if len(names) > len(SHADES):
            shades["others"] = GREY
            values = values.where(values.isin(list(shades)) | (values == ""), "others")
    return np.where(values.isin(list(shades)), values, "").astype(object), shades


def decoder_frame(
    folder: Path, corpus: str, features: dict[str, Path], effects: dict[str, Path]
) -> pd.DataFrame:
    """Rows of one SAE's features: places in each map, `language` and `gender`: "" where nothing is to be said.

    language: the one in which the feature fires in MOSTLY times as large a share of samples as in any other, `several`, or
    `dead`. gender: the direction of its significant effects on test, over conditions and languages, or `both`.
    """
    doc = Document(folder / "map.json", "decoder_map")
    table = read_parquet(folder / "map.parquet", "decoder_embedding", ["feature", *_columns(_methods(doc))])
    fires = {
        key.partition("/")[2]: read_parquet(path, "features", ["all_sample_frequency"]).iloc[:, 0]
        for key, path in features.items()
        if key.partition("/")[0] == corpus
    }
    shares = np.array([series.fillna(0).to_numpy() for series in fires.values()])
    most = shares.argmax(axis=0)
    rest = np.sort(shares, axis=0)[-2] if len(shares) > 1 else np.zeros(shares.shape[1])
    names = np.array([short_name(language) for language in fires], dtype=object)
    table["language"] = np.where(shares.max(axis=0) >= MOSTLY * rest, names[most], "several")
    table.loc[shares.max(axis=0) == 0, "language"] = "dead"
    directions = {"female": set(), "male": set()}
    for key, path in effects.items():
        if key.partition("/")[0] == corpus:
            rows = read_parquet(path, "gender_effects", ["feature", "split", "z", "significant"])
            rows = rows[(rows["split"] == "test") & rows["significant"]]
            directions["female"] |= set(rows["feature"][rows["z"] > 0])
            directions["male"] |= set(rows["feature"][rows["z"] < 0])
    is_ = {name: table["feature"].isin(found) for name, found in directions.items()}
    table["gender"] = np.select(
        [is_["female"] & is_["male"], is_["female"], is_["male"]], ["both", "female", "male"], ""
    )
    return table


def decoders_figure(decoders: dict[str, Path], told: dict[str, pd.DataFrame], languages: list[str]) -> Figure:
    """A row an SAE, a column a method and label."""
    docs = {corpus: Document(folder / "map.json", "decoder_map") for corpus, folder in decoders.items()}
    methods = _methods(next(iter(docs.values())))
    panels = [(method, label) for method in methods for label in ("gender", "language")]
    with style():
        figure = Figure(figsize=(3.3 * len(panels), 1.4 + 3.0 * len(docs)))
        grid = figure.subplots(len(docs), len(panels), squeeze=False)
        for row, (corpus, doc) in zip(grid, docs.items(), strict=True):
            frame = told[corpus]
            for axes, (method, label) in zip(row, panels, strict=True):
                shades = decoder_colours(label, languages)
                _points(axes, frame, method, frame[label].to_numpy(dtype=object), shades, size=5)
                trust = _trust(doc, method)
                axes.set_title(
                    f"{corpus_name(corpus)}, {METHODS[method]} by {label}\nn = {doc('d_sae'):,}, trustworthiness {trust:.2f}",
                    fontsize=8,
                )
                if shades and frame[label].isin(list(shades)).any():
                    axes.legend(loc="lower left", fontsize=6.5, markerscale=1.8)
        note = (
            "Rows of unit norm. By gender: direction of the significant effects on test, in any condition or language. "
            f"By language: that in which a feature fires in {MOSTLY:g} times as large a share of samples as in any other.\n"
            "Sizes of and distances between clusters of t-SNE and UMAP mean nothing."
        )
        heading(figure, f"Decoder rows in the plane, {site_name(next(iter(docs.values()))('site'))}", note)
    return figure


def decoder_colours(label: str, languages: list[str]) -> dict[str, str]:
    """The colours of what features are called."""
    if label == "gender":
        return GENDERS | {"both": ORANGE}
    own = {short_name(language): colour(language, languages) for language in languages}
    return own | {"several": GREEN, "dead": GREY}


def _points(
    axes: Axes, table: pd.DataFrame, method: str, names: np.ndarray, shades: dict[str, str], size: float = 8
) -> None:
    """Pale what has no name, and on it a colour a name, in the order of `shades`."""
    x, y = (table[f"{method}_{axis}"].to_numpy() for axis in "xy")
    known = np.isin(names.astype(str), list(shades))
    axes.scatter(x[~known], y[~known], s=size, color=PALE, linewidths=0)
    for name, shade in shades.items():
        if (at := names == name).any():
            axes.scatter(x[at], y[at], s=size, color=shade, linewidths=0, alpha=0.75, label=name)
    if not len(table):
        nothing(axes)
    axes.tick_params(bottom=False, left=False, labelbottom=False, labelleft=False)
    axes.grid(visible=False)


def _title(doc: Document, method: str, row: dict[str, Any], label: str) -> str:
    words = f"{METHODS[method]} by {label}, trustworthiness {_trust(doc, method):.2f}"
    if row["share"] is None:
        return f"{words}\nno two values to compare"
    return f"{words}\nneighbours alike {row['share']:.2f} / {row['mean']:.2f}"


def _trust(doc: Document, method: str) -> float:
    return next(row["trustworthiness"] for row in doc("maps") if row["method"] == method)


def _methods(doc: Document) -> list[str]:
    return [row["method"] for row in doc("maps")]


def _columns(methods: list[str]) -> list[str]:
    return [f"{method}_{axis}" for method in methods for axis in "xy"]


def _values(doc: Document, label: str) -> int:
    return max(row["values"] for row in doc("labels") if row["label"] == label)
