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


def transfer_records(path: Path | None) -> list[dict[str, Any]]:
    """One record per condition, source, target and method: AUROC on the target's test images with CI, the band of
    AUROCs under shuffled labels of the source, and the p of the separation."""
    if path is None:
        return []
    doc = Document(path, "gender_transfer")
    records = []
    for condition in doc("conditions"):
        lexical = doc("conditions", condition, "lexical")
        for row in doc("conditions", condition, "transfer"):
            null = {f"null_{name}": row["null"][name] for name in ("q025", "q95", "q975")}
            records.append(
                {"site": doc("site"), "condition": condition, "lexical": lexical}
                | {name: row[name] for name in ("source", "target", "method")}
                | {"n": sum(row["n"].values())}
                | {f"n_{gender}": row["n"][gender] for gender in ("female", "male")}
                | _bounds("auroc", row["auroc"])
                | null
                | {"p": row["separation"]["null"]["p"]}
            )
    return records


def direction_records(path: Path | None) -> list[dict[str, Any]]:
    """One record per condition and pair of languages: the cosine of their gender directions, and each one's length.

    Lists have one entry a language: `train` images of known gender, `dropped` samples (train and test) that had
    nothing to pool over, `lengths` relative to the spread of the train images and their 95 % level under shuffled labels.
    """
    if path is None:
        return []
    doc = Document(path, "gender_transfer")
    records = []
    for condition in doc("conditions"):
        languages = doc("conditions", condition, "languages")
        for row in doc("conditions", condition, "cosine"):
            both = [languages[language] for language in row["languages"]]
            records.append(
                {
                    "site": doc("site"),
                    "condition": condition,
                    "lexical": doc("conditions", condition, "lexical"),
                }
                | {"languages": row["languages"], "cosine": row["value"], "p": row["null"]["p"]}
                | {"null_low": row["null"]["q025"], "null_high": row["null"]["q975"]}
                | {"train": [told["train"]["female"] + told["train"]["male"] for told in both]}
                | {"dropped": [sum(told[s]["dropped_samples"] for s in ("train", "test")) for told in both]}
                | {"lengths": [told["direction"]["relative_norm"] for told in both]}
                | {"lengths_null": [told["direction"]["null"]["q95"] for told in both]}
            )
    return records


def retrieval_records(path: Path | None) -> list[dict[str, Any]]:
    """One record per source, target and centring: R@1, R@5 and MRR with CI beside chance, over `images` candidates."""
    if path is None:
        return []
    doc = Document(path, "retrieval")
    records = []
    for pair in doc("pairs"):
        for row in pair["retrieval"]:
            record = {"site": doc("site"), "images": pair["images"]}
            record |= {name: row[name] for name in ("source", "target", "centred")}
            for name in pair["chance"]:
                record |= _bounds(name, row[name]) | {f"{name}_chance": pair["chance"][name]}
            records.append(record)
    return records


def cka_records(path: Path | None) -> list[dict[str, Any]]:
    """One record per pair of languages: CKA, unbiased and biased, beside the mean and 95 % level of shuffled pairs.

    `same_text`: per language, images whose captions another image has too.
    """
    if path is None:
        return []
    doc = Document(path, "retrieval")
    records = []
    for pair in doc("pairs"):
        record = {"site": doc("site")} | {name: pair[name] for name in ("languages", "images", "same_text")}
        for name, found in pair["cka"].items():
            record |= {name: found["value"], f"{name}_null": found["null"]["mean"]}
            record |= {f"{name}_q95": found["null"]["q95"], f"{name}_p": found["null"]["p"]}
        records.append(record)
    return records
