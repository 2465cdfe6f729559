"""Linear probes of gender on the codes of SAEs."""

from pathlib import Path
from typing import Any

from crosslens.summary.reading import Document, split_key
from crosslens.summary.records.base import Files, Record, bounds, check_records


def records(files: Files) -> dict[str, list[Record]]:
    """`probes`: as `probe_records`."""
    return {"probes": probe_records(files["probe_codes"])}


def check(summary: dict[str, Any]) -> None:
    """The SAEs whose quality was measured."""
    check_records(summary, "probes")


def probe_records(probes: dict[str, Path]) -> list[dict[str, Any]]:
    """One record per input, language and condition: the probe's scores on test beside its baselines.

    Keys: `{corpus}/{language}`, with `activations` for the corpus of raw activations. `accuracy` and `auroc` come with
    `_low` and `_high` (95 % CI), `n` images of `groups` independent ones, `shuffled` and `control` are AUROCs with the range
    over repeats. `p` is one of a family, all probes of the study, `least_p` what it would be of the plainest scores;
    `because` says why there is none. `sparse`: AUROC and p by `columns`, in no family.
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
            record["groups"] = doc("conditions", condition, "groups", "test")
            record["majority"] = doc("conditions", condition, "majority", "accuracy")
            for name in ("accuracy", "auroc"):
                record |= bounds(name, doc("conditions", condition, name))
            for name in ("shuffled", "control"):
                scores = doc("conditions", condition, name)
                record |= bounds(name, scores and scores["auroc"])
            record["width"] = doc("width")
            record["sparse"] = [
                {"columns": of["columns"], "p": of["p"]} | bounds("auroc", of["auroc"])
                for of in doc("conditions", condition, "sparse") or []
            ]
            p = doc("conditions", condition, "p")
            record |= {"p": p} | {name: doc("conditions", condition, name) for name in ("least_p", "because")}
            records.append(record | {"q_family": None if p is None else "probes"})
    return records
