"""The figures of one layer on gender, from its result files."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from crosslens.errors import InputError
from crosslens.figures.effect_sizes import WHOSE, effect_sizes_figure
from crosslens.figures.gender_features import gender_features_figure
from crosslens.figures.style import save, stacked
from crosslens.summary.names import main_corpora
from crosslens.summary.reading import Document, read_parquet
from crosslens.summary.records.base import Record
from crosslens.summary.records.cross_lingual import cross_lingual_records
from crosslens.summary.records.gender import gender_records
from crosslens.summary.records.gender_robustness import named_records, place_of
from crosslens.summary.records.probe_words import words_records

SHOWN = 6
"""Features a side in gender_features.png."""


def gender_layer_figures(
    *,
    site: str,
    effects: dict[str, Path],
    gender: dict[str, Path],
    robustness: dict[str, Path],
    cross_lingual: dict[str, Path],
    words: dict[str, Path],
    out: Path,
    written: dict[str, dict[str, Path]] | None = None,
) -> None:
    """Write {gender_features, effect_sizes}.png to the folder `out`.

    Keys: `cross_lingual` by corpus, `words` by language, the others by `{corpus}/{language}`. written: `gender`, `robustness`
    and `words` once more, of the model's own captions. Raises InputError where a file or field is missing.
    """
    points, agreement = effect_frames(cross_lingual, effects)
    written = written or {}
    masked = words_records(words) + words_records(written.get("words", {}))
    named = named_records(robustness) + named_records(written.get("robustness", {}))
    corpus = next(iter(cross_lingual), "joint")
    out.mkdir(parents=True, exist_ok=True)
    top = gender_frame(gender, named, written=written.get("gender", {}))
    save(gender_features_figure(top, site=site, words=masked), out / "gender_features.png", top)
    figure = effect_sizes_figure(points, agreement, site=site, corpus=corpus, words=masked)
    save(figure, out / "effect_sizes.png", stacked(features=points, correlations=agreement))


def gender_frame(
    gender: dict[str, Path],
    named: Sequence[Record] = (),
    shown: int = SHOWN,
    written: dict[str, Path] | None = None,
) -> pd.DataFrame:
    """The top features of each language, condition and side, of the SAE that `main_corpora` names.

    Rows (corpus, language, condition, side, rank, feature, d, d_low, d_high, n_female, n_male, auroc, confirmed, seeds,
    seeds_kept). A condition in which nothing was chosen has one row without a feature. named: records of what the features
    are in other views; without them no other seed is known. written: the same as `gender`, of the model's own captions.
    """
    records, seeds = gender_records(gender) + gender_records(written or {}), ("seeds", "seeds_kept")
    found_again = {place_of(record): record for record in named}
    shown_corpus = main_corpora(records)
    rows = []
    for record in records:
        corpus, language = record["corpus"], record["language"]
        if corpus != shown_corpus[language]:
            continue
        test = record["units"]["test"]
        of = {"corpus": corpus, "language": language, "condition": record["condition"]}
        of |= {"n_female": test["female"], "n_male": test["male"]}
        names = ("feature", "d", "d_low", "d_high", "auroc", "confirmed")
        found = [
            {**of, "side": side, "rank": rank, **{name: feature[name] for name in names}}
            | {
                name: found_again.get(place_of({**record, **feature, "side": side}), {}).get(name, 0)
                for name in seeds
            }
            for side in ("female", "male")
            for rank, feature in enumerate(record[f"top_{side}"][:shown])
        ]
        rows += found or [{**of, "side": None, "rank": 0, **dict.fromkeys((*names, *seeds))}]
    return pd.DataFrame(rows)


def effect_frames(
    cross_lingual: dict[str, Path], effects: dict[str, Path]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Points and correlations of effect_sizes_figure, of every pair of languages, in the first corpus.

    Empty where `cross_lingual` is: a study of one language, or without an SAE of both.
    """
    if not cross_lingual:
        return pd.DataFrame(columns=WHOSE), pd.DataFrame(columns=WHOSE)
    corpus, path = next(iter(cross_lingual.items()))
    doc = Document(path, "cross_lingual")
    points = []
    for result in doc("results"):
        frame = pd.DataFrame({"feature": result["scatter"]["feature"]}).astype({"feature": "int64"})
        frame["d_first"], frame["d_second"] = result["scatter"]["d"]
        confirmed = [
            frame["feature"].isin(_significant(effects, f"{corpus}/{language}", result["condition"]))
            for language in result["languages"]
        ]
        where = confirmed[0].astype(int) + 2 * confirmed[1].astype(int)
        frame["status"] = where.map(dict(enumerate(("neither", "first", "second", "both"))))
        frame.loc[~pd.Series(result["scatter"]["chosen"], dtype=bool), "status"] = "not chosen"
        first, second = result["languages"]
        points.append(frame.assign(first=first, second=second, condition=result["condition"]))
    agreement = [
        {
            **dict(zip(("first", "second"), record["languages"], strict=True)),
            **{name: record[name] for name in ("condition", "family", "r", "low", "high")},
            **{name: record[name] for name in ("features", "images", "groups")},
            "pairing_low": record["null"]["pairing"]["q025"],
            "pairing_high": record["null"]["pairing"]["q975"],
            "labels_low": record["null"]["labels"]["q025"],
            "labels_high": record["null"]["labels"]["q975"],
        }
        for record in cross_lingual_records({corpus: path})
        if record["method"] == "pearson"
    ]
    return pd.concat(points, ignore_index=True), pd.DataFrame(agreement)


def _significant(effects: dict[str, Path], key: str, condition: str) -> set[int]:
    if key not in effects:
        raise InputError("effects", found=sorted(effects), expected=key, mend="name the effects of that key")
    table = read_parquet(effects[key], "gender_effects", ["feature", "condition", "split", "significant"])
    at = (table["condition"] == condition) & (table["split"] == "test") & table["significant"]
    return set(table.loc[at, "feature"])
