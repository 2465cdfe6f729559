"""The figures of one layer, from its result files."""

from pathlib import Path
from typing import Any

import pandas as pd

from crosslens.errors import InputError
from crosslens.figures.density import density_figure
from crosslens.figures.effect_sizes import effect_sizes_figure
from crosslens.figures.gender_features import gender_features_figure
from crosslens.figures.style import save
from crosslens.figures.training import training_figure
from crosslens.summary.reading import Document, read_parquet, split_key
from crosslens.summary.records import cross_lingual_records, gender_records

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
    """Write training.png, density.png, gender_features.png and effect_sizes.png to the folder `out`.

    Keys: `training` and `cross_lingual` by corpus, the others by `{corpus}/{language}`. Raises InputError where a
    file or field is missing.
    """
    density, features = density_frames(quality)
    curves, chosen = training_frame(training, features), gender_frame(gender)
    pairs, agreement, languages = effect_frames(cross_lingual, effects)
    out.mkdir(parents=True, exist_ok=True)
    save(training_figure(curves, site=site), out / "training.png")
    save(density_figure(density, features, site=site), out / "density.png")
    save(gender_features_figure(chosen, site=site), out / "gender_features.png")
    figure = effect_sizes_figure(pairs, agreement, site=site, languages=languages)
    save(figure, out / "effect_sizes.png")


def training_frame(training: dict[str, Path], features: pd.DataFrame) -> pd.DataFrame:
    """Rows (corpus, step, tokens, fvu, aux, l0, dead, lr, dead_share); `features` tells d_sae of each corpus."""
    d_sae = features.groupby("corpus")["d_sae"].first()
    frames = []
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
    return pd.concat(frames, ignore_index=True)


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


def gender_frame(gender: dict[str, Path], shown: int = SHOWN) -> pd.DataFrame:
    """The top features of each language, condition and side; of the joint SAE where there is one.

    Rows (corpus, language, condition, side, rank, feature, d, d_low, d_high, n_female, n_male, significant).
    A condition in which nothing was chosen has one row without a feature.
    """
    records = gender_records(gender)
    joint = {record["language"] for record in records if record["corpus"] == "joint"}
    rows = []
    for record in records:
        corpus, language = record["corpus"], record["language"]
        if corpus != ("joint" if language in joint else language):
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
    """Points and correlations of effect_sizes_figure, and the two languages (the first pair of the joint SAE).

    Empty where `cross_lingual` is: a study of one language, or without a joint SAE.
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
