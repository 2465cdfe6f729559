"""The figures of one layer's SAEs, from their result files."""

from pathlib import Path
from typing import Any

import pandas as pd

from crosslens.errors import InputError
from crosslens.figures.decoder import decoder_figure
from crosslens.figures.density import density_figure
from crosslens.figures.style import save, stacked
from crosslens.figures.training import training_figure
from crosslens.summary.reading import Document, split_key


def layer_figures(*, site: str, training: dict[str, Path], quality: dict[str, Path], out: Path) -> None:
    """Write {training, density, decoder}.png to the folder `out`.

    Keys: `training` by corpus, `quality` by `{corpus}/{language}`. An SAE of others has no file in `training`. Raises
    InputError where a file or field is missing.
    """
    density, features = density_frames(quality)
    curves = training_frame(training, features)
    absent = [corpus for corpus in dict.fromkeys(features["corpus"]) if corpus not in training]
    out.mkdir(parents=True, exist_ok=True)
    cosines, saes = decoder_frames(quality)
    save(training_figure(curves, site=site, absent=absent), out / "training.png", curves)
    save(
        density_figure(density, features, site=site),
        out / "density.png",
        stacked(bins=density, saes=features),
    )
    save(decoder_figure(cosines, saes, site=site), out / "decoder.png", stacked(bins=cosines, saes=saes))


def training_frame(training: dict[str, Path], features: pd.DataFrame) -> pd.DataFrame:
    """Points of `curve` as rows, with corpus and dead_share; `features` tells d_sae of each corpus."""
    d_sae = features.groupby("corpus")["d_sae"].first()
    frames = [pd.DataFrame(columns=["corpus", "tokens"])]
    for corpus, path in training.items():
        doc = Document(path, "training")
        curve = pd.DataFrame(doc("curve"))
        if curve.empty or corpus not in d_sae:
            raise InputError(
                path,
                found="an empty curve" if curve.empty else f"no quality of the {corpus} SAE",
                expected="a curve, and the quality of every corpus",
                mend="rebuild both with snakemake",
            )
        frames.append(curve.assign(corpus=corpus, dead_share=curve["dead"] / d_sae[corpus]))
    # an empty frame would make the columns of the others objects
    return pd.concat(frames[1:] or frames, ignore_index=True)


def density_frames(quality: dict[str, Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bins (corpus, language, low, high, count) and SAEs (corpus, language, live, d_sae, n_tokens)."""
    bins: list[dict[str, Any]] = []
    features: list[dict[str, Any]] = []
    for key, path in quality.items():
        corpus, language = split_key(key)
        doc = Document(path, "quality")
        of = {"corpus": corpus, "language": language}
        edges, counts = doc("density", "log10_edges"), doc("density", "counts")
        bins += [
            {**of, "low": low, "high": high, "count": count}
            for low, high, count in zip(edges, edges[1:], counts, strict=False)
        ]
        features.append({**of, "live": doc("live"), "d_sae": doc("d_sae"), "n_tokens": doc("tokens")})
        if sum(counts) != doc("live"):
            raise InputError(
                path,
                found=f"{sum(counts)} features in the density histogram",
                expected=f"the {doc('live')} live ones",
                mend="rebuild it with snakemake",
            )
    return pd.DataFrame(bins), pd.DataFrame(features)


def decoder_frames(quality: dict[str, Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bins (corpus, source, low, high, count) and SAEs, as decoder_figure takes them.

    A decoder is the same whatever language it is measured on: the first file of a corpus tells.
    """
    bins: list[dict[str, Any]] = []
    saes: dict[str, dict[str, Any]] = {}
    for key, path in quality.items():
        corpus, _ = split_key(key)
        if corpus in saes:
            continue
        doc = Document(path, "quality")
        edges = doc("decoder_cosine", "edges")
        saes[corpus] = {
            "corpus": corpus,
            "d_sae": doc("d_sae"),
            **{name: doc("decoder_cosine", name) for name in ("compared", "alike_above")},
            **{name: doc("decoder_cosine", "decoder", name) for name in ("median", "alike_share")},
            "random_median": doc("decoder_cosine", "random", "median"),
        }
        for source in ("decoder", "random"):
            counts = doc("decoder_cosine", source, "counts")
            if len(counts) != len(edges) - 1:
                raise InputError(
                    path,
                    found=f"{len(counts)} bins of decoder cosines",
                    expected=f"{len(edges) - 1}, between {len(edges)} edges",
                    mend="rebuild it with snakemake",
                )
            bins += [
                {"corpus": corpus, "source": source, "low": low, "high": high, "count": count}
                for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
            ]
    return pd.DataFrame(bins), pd.DataFrame(saes.values())
