"""The figures of one layer, from its result files."""

from pathlib import Path
from typing import Any

import pandas as pd

from crosslens.errors import InputError
from crosslens.figures.decoder import decoder_figure
from crosslens.figures.density import density_figure
from crosslens.figures.effect_sizes import effect_sizes_figure
from crosslens.figures.gender_features import gender_features_figure
from crosslens.figures.style import save
from crosslens.figures.training import training_figure
from crosslens.summary.reading import Document, read_parquet, split_key
from crosslens.summary.records import cross_lingual_records, gender_records, main_corpora

SHOWN = 6
"""Features a side in gender_features.png."""


def layer_figures(
    *,
    site: str,
    training: dict[str, Path],
    quality: dict[str, Path],
    effects: dict[str, Path],
    gender: dict[str, Path],
    cross_lingual: dict[str, Path],
    out: Path,
) -> None:
    """Write {training, density, decoder, gender_features, effect_sizes}.png to the folder `out`.

    Keys: `training` and `cross_lingual` by corpus, the others by `{corpus}/{language}`. An SAE of others has no file in
    `training`. Raises InputError where a file or field is missing.
    """
    density, features = density_frames(quality)
    curves, chosen = training_frame(training, features), gender_frame(gender)
    absent = [corpus for corpus in dict.fromkeys(features["corpus"]) if corpus not in training]
    pairs, agreement, languages = effect_frames(cross_lingual, effects)
    corpus = next(iter(cross_lingual), "joint")
    out.mkdir(parents=True, exist_ok=True)
    figures = {
        "training": training_figure(curves, site=site, absent=absent),
        "density": density_figure(density, features, site=site),
        "decoder": decoder_figure(*decoder_frames(quality), site=site),
        "gender_features": gender_features_figure(chosen, site=site),
        "effect_sizes": effect_sizes_figure(pairs, agreement, site=site, corpus=corpus, languages=languages),
    }
    for name, figure in figures.items():
        save(figure, out / f"{name}.png")


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


def gender_frame(gender: dict[str, Path], shown: int = SHOWN) -> pd.DataFrame:
    """The top features of each language, condition and side, of the SAE that `main_corpora` names.

    Rows (corpus, language, condition, side, rank, feature, d, d_low, d_high, n_female, n_male, significant).
    A condition in which nothing was chosen has one row without a feature.
    """
    records = gender_records(gender)
    shown_corpus = main_corpora(records)
    rows = []
    for record in records:
        corpus, language = record["corpus"], record["language"]
        if corpus != shown_corpus[language]:
            continue
        test = record["images"]["test"]
        of = {"corpus": corpus, "language": language, "condition": record["condition"]}
        of |= {"n_female": test["female"], "n_male": test["male"]}
        names = ("feature", "d", "d_low", "d_high", "significant")
        found = [
            {**of, "side": side, "rank": rank, **{name: feature[name] for name in names}}
            for side in ("female", "male")
            for rank, feature in enumerate(record[f"top_{side}"][:shown])
        ]
        rows += found or [{**of, "side": None, "rank": 0, **dict.fromkeys(names)}]
    return pd.DataFrame(rows)


def effect_frames(
    cross_lingual: dict[str, Path], effects: dict[str, Path]
) -> tuple[pd.DataFrame, pd.DataFrame, tuple[str, str]]:
    """Points and correlations of effect_sizes_figure, and the two languages (the first pair of the first corpus).

    Empty where `cross_lingual` is: a study of one language, or without an SAE of both.
    """
    if not cross_lingual:
        return pd.DataFrame(columns=["condition"]), pd.DataFrame(columns=["condition"]), ("", "")
    corpus, path = next(iter(cross_lingual.items()))
    doc = Document(path, "cross_lingual")
    languages = tuple(doc("results")[0]["languages"])
    points = []
    for result in doc("results"):
        if tuple(result["languages"]) != languages:
            continue
        frame = pd.DataFrame({"feature": result["scatter"]["feature"]}).astype({"feature": "int64"})
        frame["d_first"], frame["d_second"] = result["scatter"]["d"]
        confirmed = [
            frame["feature"].isin(_significant(effects, f"{corpus}/{language}", result["condition"]))
            for language in languages
        ]
        where = confirmed[0].astype(int) + 2 * confirmed[1].astype(int)
        frame["status"] = where.map(dict(enumerate(("neither", "first", "second", "both"))))
        frame.loc[~pd.Series(result["scatter"]["chosen"], dtype=bool), "status"] = "not chosen"
        points.append(frame.assign(condition=result["condition"]))
    agreement = [
        {
            **{name: record[name] for name in ("condition", "family", "r", "low", "high")},
            **{name: record[name] for name in ("features", "images")},
            "pairing_low": record["null"]["pairing"]["q025"],
            "pairing_high": record["null"]["pairing"]["q975"],
            "labels_low": record["null"]["labels"]["q025"],
            "labels_high": record["null"]["labels"]["q975"],
        }
        for record in cross_lingual_records({corpus: path})
        if record["method"] == "pearson" and tuple(record["languages"]) == languages
    ]
    return pd.concat(points, ignore_index=True), pd.DataFrame(agreement), languages


def _significant(effects: dict[str, Path], key: str, condition: str) -> set[int]:
    if key not in effects:
        raise InputError("effects", found=sorted(effects), expected=key, mend="name the effects of that key")
    table = read_parquet(effects[key], "gender_effects", ["feature", "condition", "split", "significant"])
    at = (table["condition"] == condition) & (table["split"] == "test") & table["significant"]
    return set(table.loc[at, "feature"])
