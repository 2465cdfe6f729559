"""Flat records, one per row of a table of the report, out of the analysis files of one layer."""

from pathlib import Path
from typing import Any

from crosslens.summary.reading import Document, split_key

BASELINES = ("pca", "random_dictionary", "token_mean")
CORRELATIONS = ("pearson", "spearman")


def main_corpora(records: list[dict[str, Any]]) -> dict[str, str]:
    """language -> the corpus that stands for it where one alone is shown: joint, its own, or the first of `records`."""
    found: dict[str, str] = {}
    for record in records:
        language, corpus = record["language"], record["corpus"]
        taken = found.setdefault(language, corpus)
        if corpus == "joint" or (corpus == language and taken != "joint"):
            found[language] = corpus
    return found


def sae_records(quality: dict[str, Path], spliced: dict[str, Path]) -> list[dict[str, Any]]:
    """One record per SAE and language: reconstruction, sparsity, baselines, gates, and the loss when spliced in.

    Keys are `{corpus}/{language}`; what has no file in `spliced` is None there.
    """
    records = []
    for key, path in quality.items():
        corpus, language = split_key(key)
        doc = Document(path, "quality")
        record = {"corpus": corpus, "language": language}
        record |= {name: doc(name) for name in ("site", "sae", "architecture", "d_model", "d_sae")}
        record |= {name: doc(name) for name in ("tokens", "samples")}
        record |= {name: doc(name) for name in ("ev", "fvu", "cosine", "live", "dead")}
        record |= {"l0": doc("l0", "mean"), "l0_quantiles": doc("l0", "quantiles")}
        record |= {name: doc("baselines", name, "ev") for name in BASELINES}
        record["decoder_median"] = doc("decoder_cosine", "decoder", "median")
        record["decoder_alike"] = doc("decoder_cosine", "decoder", "alike_share")
        record["decoder_random_median"] = doc("decoder_cosine", "random", "median")
        record["gates"] = [
            {"gate": name, "passed": doc("gates", name, "passed"), "says": doc("gates", name, "says")}
            for name in doc("gates")
        ]
        records.append(record | _spliced(spliced.get(key)))
    return records


def _spliced(path: Path | None) -> dict[str, Any]:
    """Losses in nats a token; `_ci` are [low, high]; `splice_*` say of which SAE and on what they were measured."""
    values = {f"ce_{name}": ("ce", name) for name in ("clean", "spliced", "zero", "mean")}
    values |= {"ce_recovered": ("ce_recovered", "zero"), "ce_recovered_mean": ("ce_recovered", "mean")}
    values |= {"kl": ("kl", "spliced")}
    about = {
        "splice_sae": ("sae",),
        "splice_images": ("images",),
        "splice_tokens": ("tokens",),
        "identity_difference": ("identity", "max_abs_logit_difference"),
    }
    if path is None:
        return dict.fromkeys([*values, *(f"{name}_ci" for name in values), *about])
    doc = Document(path, "spliced")
    record = {name: doc(*keys, "value") for name, keys in values.items()}
    record |= {f"{name}_ci": doc(*keys, "ci") for name, keys in values.items()}
    return record | {name: doc(*keys) for name, keys in about.items()}


def training_records(training: dict[str, Path]) -> list[dict[str, Any]]:
    """One record per corpus: what the last logged step of training looked like."""
    records = []
    for corpus, path in training.items():
        doc = Document(path, "training")
        last = doc("curve")[-1]
        records.append(
            {"corpus": corpus, "identity": doc("identity"), "settings": doc("settings")}
            | {name: last[name] for name in ("step", "tokens", "loss", "fvu", "l0", "dead")}
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


def probe_records(probes: dict[str, Path]) -> list[dict[str, Any]]:
    """One record per input, language and condition: the probe's scores on test beside its baselines.

    Keys are `{corpus}/{language}` for codes and `activations/{language}` for raw activations. `accuracy` and `auroc`
    come with `_low` and `_high` (95 % CI), `shuffled` and `control` are AUROCs with the range over repeats.
    """
    records = []
    for key, path in probes.items():
        corpus, language = split_key(key)
        doc = Document(path, "probe")
        for condition in doc("conditions"):
            test = doc("conditions", condition, "n_test")
            record = {"corpus": corpus, "language": language, "condition": condition, "site": doc("site")}
            record["sae"] = None if corpus == "activations" else doc("sae")
            record |= {"n_female": test["female"], "n_male": test["male"], "n": test["female"] + test["male"]}
            record["majority"] = doc("conditions", condition, "majority", "accuracy")
            for name in ("accuracy", "auroc"):
                record |= _bounds(name, doc("conditions", condition, name))
            for name in ("shuffled", "control"):
                scores = doc("conditions", condition, name)
                record |= _bounds(name, scores and scores["auroc"])
            records.append(record)
    return records


def _bounds(name: str, score: dict[str, float] | None) -> dict[str, float | None]:
    score = score or {"value": None, "low": None, "high": None}
    return {name: score["value"], f"{name}_low": score["low"], f"{name}_high": score["high"]}
