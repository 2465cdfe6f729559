"""Flat records, one per row of a table of the report, out of the analysis files of one layer."""

from pathlib import Path
from typing import Any

from crosslens.summary.reading import Document, split_key

BASELINES = ("pca", "random_dictionary", "token_mean")
CORRELATIONS = ("pearson", "spearman")


def sae_records(quality: dict[str, Path], spliced: dict[str, Path]) -> list[dict[str, Any]]:
    """One record per SAE and language: reconstruction, sparsity, baselines, gates, and the loss when spliced in.

    Keys are `{corpus}/{language}`; what has no file in `spliced` is None there.
    """
    records = []
    for key, path in quality.items():
        corpus, language = split_key(key)
        doc = Document(path, "quality")
        record = {"corpus": corpus, "language": language}
        record |= {name: doc(name) for name in ("site", "sae", "d_model", "d_sae", "tokens", "samples")}
        record |= {name: doc(name) for name in ("ev", "fvu", "cosine", "live", "dead")}
        record |= {"l0": doc("l0", "mean"), "l0_quantiles": doc("l0", "quantiles")}
        record |= {name: doc("baselines", name, "ev") for name in BASELINES}
        record["gates"] = [
            {"gate": name, "passed": doc("gates", name, "passed"), "says": doc("gates", name, "says")}
            for name in doc("gates")
        ]
        records.append(record | _spliced(spliced.get(key)))
    return records


def _spliced(path: Path | None) -> dict[str, Any]:
    names = {
        "ce_clean": ("ce", "clean"),
        "ce_spliced": ("ce", "spliced"),
        "ce_zero": ("ce", "zero"),
        "ce_mean": ("ce", "mean"),
        "ce_recovered": ("ce_recovered", "zero"),
        "ce_recovered_mean": ("ce_recovered", "mean"),
        "kl": ("kl",),
        "identity": ("identity",),
    }
    if path is None:
        return dict.fromkeys(names)
    doc = Document(path, "spliced")
    return {name: doc(*keys) for name, keys in names.items()}


def training_records(training: dict[str, Path]) -> list[dict[str, Any]]:
    """One record per corpus: what the last logged step of training looked like."""
    records = []
    for corpus, path in training.items():
        doc = Document(path, "training")
        last = doc("curve")[-1]
        records.append(
            {"corpus": corpus, "identity": doc("identity"), "settings": doc("settings")}
            | {name: last[name] for name in ("step", "tokens", "fvu", "l0", "dead")}
            | {"sinks": doc("sinks")}
        )
    return records


def gender_records(gender: dict[str, Path]) -> list[dict[str, Any]]:
    """One record per SAE, language and condition: how many features are gendered, and how many by chance."""
    records = []
    for key, path in gender.items():
        corpus, language = split_key(key)
        doc = Document(path, "gender")
        for condition in doc("conditions"):
            names = ("images", "live", "significant", "null", "confirmed", "top_female", "top_male")
            records.append(
                {"corpus": corpus, "language": language, "condition": condition}
                | {name: doc(name) for name in ("alpha", "sae", "site")}
                | {name: doc("conditions", condition, name) for name in names}
            )
    return records


def cross_lingual_records(cross_lingual: dict[str, Path]) -> list[dict[str, Any]]:
    """One record per condition, pair of languages, family and method: r, CI and the two nulls."""
    records = []
    for corpus, path in cross_lingual.items():
        doc = Document(path, "cross_lingual")
        for result in doc("results"):
            for family in doc("families"):
                for method in CORRELATIONS:
                    found = result[family][method]
                    records.append(
                        {
                            "corpus": corpus,
                            "condition": result["condition"],
                            "languages": result["languages"],
                            "family": family,
                            "method": method,
                            "features": result[family]["features"],
                            "images": sum(result["images"].values()),
                            "labels_disagree": result["labels_disagree"],
                            **{name: found[name] for name in ("r", "low", "high")},
                            "null": found["null"],
                        }
                    )
    return records


def ranking_records(rankings: dict[str, Path]) -> list[dict[str, Any]]:
    """One record per SAE and language: the first feature of each ranking, and the specialists of the categories."""
    records = []
    for key, path in rankings.items():
        corpus, language = split_key(key)
        doc = Document(path, "rankings")
        first = {}
        for name in doc("rankings"):
            features = doc("rankings", name, "features")
            first[name] = features[0]["feature"] if features else None
        specialists = doc("specialists")
        records.append(
            {"corpus": corpus, "language": language, "site": doc("site"), "sae": doc("sae"), "first": first}
            | {
                "categories": len(doc("specialists", "categories")),
                "specialists": doc("specialists", "found"),
                "specialists_by_chance": specialists.get("expected_by_chance"),
                "specialists_p": specialists.get("found_p"),
            }
        )
    return records
