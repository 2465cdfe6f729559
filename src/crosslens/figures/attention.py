"""Where attention heads look: scores as heat maps, and weights on a picture laid over it."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from crosslens.errors import InputError
from crosslens.figures.style import heading, nothing, save, style
from crosslens.pictures import load_picture
from crosslens.summary.names import language_name, short_name
from crosslens.summary.reading import Document, read_parquet

SCORES = {
    "previous": "previous token",
    "itself": "itself",
    "first": "first token",
    "image": "image",
    "induction": "induction",
    "entropy": "entropy, bits",
    "distance": "distance, tokens",
}
SHARES = ("previous", "itself", "first", "image", "induction")
Row = tuple[str, dict[str, Any], pd.DataFrame, pd.DataFrame]
"""A language, one of its samples, the weights of all heads on its picture, and the heads that are shown."""
HEADS, SAMPLES = 3, 4
"""Heads and samples of a language that are laid over pictures."""


def draw_attention_figure(*, attention: dict[str, Path], images: Path | None, out: Path) -> None:
    """Write attention.png and attention_pictures.png to the folder `out`.

    attention: language -> its folder. images: the folder that the samples' pictures are in. Raises InputError where a field
    is missing.
    """
    documents = {
        language: Document(folder / "attention.json", "attention") for language, folder in attention.items()
    }
    heads = {language: read_heads(folder) for language, folder in attention.items()}
    out.mkdir(parents=True, exist_ok=True)
    table = pd.concat([of.assign(language=language) for language, of in heads.items()], ignore_index=True)
    save(_maps(documents, heads), out / "attention.png", table)
    rows = shown_pictures(documents, heads, attention)
    save(_pictures(rows, images), out / "attention_pictures.png", weights_table(rows))


def read_heads(folder: Path) -> pd.DataFrame:
    """The scores of a folder of kind attention."""
    columns = ["layer", "head", "score", "value", "low", "high"]
    return read_parquet(folder / "heads.parquet", "attention_heads", columns)


def _maps(documents: dict[str, Document], heads: dict[str, pd.DataFrame]) -> Figure:
    with style():
        figure = Figure(figsize=(2.1 * len(SCORES), 0.9 + 2.5 * len(documents)))
        grid = figure.subplots(len(documents), len(SCORES), squeeze=False, sharex=True, sharey=True)
        for row, language in zip(grid, documents, strict=True):
            for axes, (score, title) in zip(row, SCORES.items(), strict=True):
                own = heads[language][heads[language]["score"] == score]
                axes.set_title(f"{short_name(language)}: {title}")
                _map(axes, own, figure, _limits(heads, score))
            row[0].set_ylabel("block")
        for axes in grid[-1]:
            axes.set_xlabel("head")
        counts = "; ".join(
            f"{language_name(language)} n = {doc('samples'):,}" for language, doc in documents.items()
        )
        heading(
            figure,
            "Where attention heads look",
            f"Means over text tokens of test samples ({counts}). Each score has a scale of its own, the same in all "
            "languages; the first five are shares of the weight, from 0 (white). Induction: random tokens that are said twice.",
        )
    return figure


def _limits(heads: dict[str, pd.DataFrame], score: str) -> tuple[float, float]:
    """The range of a score over all languages, from 0 for shares."""
    values = pd.concat([of[of["score"] == score]["value"] for of in heads.values()])
    return (0.0 if score in SHARES else values.min()), values.max()


def _map(axes: Axes, own: pd.DataFrame, figure: Figure, limits: tuple[float, float]) -> None:
    table = own.pivot(index="layer", columns="head", values="value")
    if table.isna().all(axis=None):
        nothing(axes, "none")
        return
    edges = [-0.5, table.columns.max() + 0.5, table.index.min() - 0.5, table.index.max() + 0.5]
    low, high = limits
    every = table.reindex(range(table.index.min(), table.index.max() + 1)).to_numpy()
    image = axes.imshow(
        every,
        origin="lower",
        aspect="auto",
        cmap="Greys",
        interpolation="nearest",
        extent=edges,
        vmin=low,
        vmax=high,
    )
    axes.grid(visible=False)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    figure.colorbar(image, ax=axes, fraction=0.08)


def folded(weights: np.ndarray, height: int, width: int) -> np.ndarray:
    """Weights (n) of a picture's tokens as (rows, columns), left to right and top to bottom: of the ways to fold n that which is
    nearest to the picture's shape, a square where n is one (a family whose tokens do not follow the picture's shape)."""
    n = len(weights)
    if (side := round(n**0.5)) ** 2 == n:
        return weights.reshape(side, side)
    ways = [rows for rows in range(1, n + 1) if n % rows == 0]
    best = min(ways, key=lambda rows: abs(np.log(rows / (n // rows) * width / height)))
    return weights.reshape(best, n // best)


def shown_pictures(
    documents: dict[str, Document], heads: dict[str, pd.DataFrame], attention: dict[str, Path]
) -> list[Row]:
    """Each language's samples, and the heads that look at pictures most."""
    rows = []
    for language, doc in documents.items():
        columns = ["sample_id", "layer", "head", "place", "weight"]
        weights = read_parquet(attention[language] / "images.parquet", "attention_images", columns)
        own = heads[language]
        own = own[(own["score"] == "image") & own["value"].notna()]
        best = own.sort_values(["value", "layer", "head"], ascending=[False, True, True]).head(HEADS)
        for sample in [sample for sample in doc("shown") if sample["image"]][:SAMPLES]:
            rows.append((language, sample, weights[weights["sample_id"] == sample["sample_id"]], best))
    return rows


def weights_table(rows: list[Row]) -> pd.DataFrame:
    """A row a language, sample, head and place of the picture."""
    shown = [
        weights.merge(best[["layer", "head"]]).assign(language=language)
        for language, _, weights, best in rows
    ]
    columns = ["language", "sample_id", "layer", "head", "place", "weight"]
    return pd.concat(shown, ignore_index=True)[columns] if shown else pd.DataFrame(columns=columns)


def _pictures(rows: list[Row], images: Path | None) -> Figure:
    """Each language's samples, under the heads that look at pictures most."""
    with style():
        if not rows or images is None:
            figure = Figure(figsize=(5, 1.6))
            nothing(figure.subplots(), "no picture among the samples that are shown")
            return figure
        figure = Figure(figsize=(2.4 * (1 + HEADS), 0.9 + 2.3 * len(rows)))
        grid = figure.subplots(len(rows), 1 + HEADS, squeeze=False)
        for line, (language, sample, weights, best) in zip(grid, rows, strict=True):
            picture = _picture(Path(images) / sample["image"], sample["image_sha256"])
            for axes in line:
                axes.axis("off")
            line[0].imshow(picture)
            line[0].set_title(f"{short_name(language)}: {sample['sample_id']}")
            for axes, head in zip(line[1:], best.itertuples(), strict=False):
                own = weights[(weights["layer"] == head.layer) & (weights["head"] == head.head)]
                _overlay(axes, picture, own.sort_values("place")["weight"].to_numpy())
                axes.set_title(f"block {head.layer}, head {head.head}: {own['weight'].sum():.2f}")
        heading(
            figure,
            "Where the caption's tokens look in the picture",
            "Heads with the most weight on image tokens, mean over the caption's tokens; dark: none, bright: the most of "
            "this head in this picture. The number is the weight on the whole picture.",
        )
    return figure


def _picture(path: Path, sha256: str) -> np.ndarray:
    """The picture as the model saw it; InputError where it is another by now."""
    data = path.read_bytes() if path.is_file() else b""
    if (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise InputError(
            path,
            found=f"sha256 {found}" if data else "no file",
            expected=f"{sha256}, the picture whose patterns were stored",
            mend="restore the picture, or rebuild the dataset",
        )
    return np.asarray(load_picture(data))


def _overlay(axes: Axes, picture: np.ndarray, weights: np.ndarray) -> None:
    height, width = picture.shape[:2]
    axes.imshow(picture, extent=(0, width, height, 0))
    if len(weights):
        grid = folded(weights, height, width)
        axes.imshow(
            grid, extent=(0, width, height, 0), cmap="inferno", alpha=0.65, interpolation="nearest", vmin=0
        )
