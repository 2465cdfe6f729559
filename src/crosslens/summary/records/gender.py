"""Features that tell the genders apart."""

from pathlib import Path
from typing import Any

from crosslens.summary.reading import Document, split_key
from crosslens.summary.records.base import (
    Files,
    Record,
    check_records,
    equal_among_languages,
    expect,
    independent,
)


def records(files: Files) -> dict[str, list[Record]]:
    """`gender`: as `gender_records`."""
    return {
        "gender": gender_records({key: folder / "gender.json" for key, folder in files["gender"].items()})
    }


def gender_records(gender: dict[str, Path]) -> list[dict[str, Any]]:
    """One record per SAE, language and condition: how many features are gendered, and how many by chance."""
    records = []
    for key, path in gender.items():
        corpus, language = split_key(key)
        doc = Document(path, "gender")
        for condition in doc("conditions"):
            names = ("tested", "because", "images", "units", "live", "testable", "significant", "null")
            names += ("confirmed", "top_female", "top_male")
            records.append(
                {"corpus": corpus, "language": language, "condition": condition}
                | {name: doc(name) for name in ("alpha", "sae", "site")}
                | {name: doc("conditions", condition, name) for name in names}
                | {"groups": {s: independent(of) for s, of in doc("conditions", condition, "units").items()}}
                | _family(doc("conditions", condition, "null"), doc("conditions", condition, "tested"))
            )
    return records


def _family(null: dict[str, float | None], tested: bool) -> dict[str, Any]:
    """The p of the number of significant features, one of a family: all of the study."""
    test = {name: null[name] if tested else None for name in ("p", "least_p")}
    return test | {"q_family": None if test["p"] is None else "gendered_features"}


def check(summary: dict[str, Any]) -> None:
    """The SAEs whose quality was measured, at most the testable features, and the same pictures in all languages."""
    check_records(summary, "gender")
    for record in summary["gender"]:
        if record["significant"] > record["testable"]:
            where = f"gender of {record['corpus']}/{record['language']} at {summary['site']}"
            most = f"at most {record['testable']} testable ones"
            expect(where, "significant features", record["significant"], most)
    equal_among_languages(
        "test pictures",
        summary["gender"],
        lambda record: record["condition"],
        lambda record: _pictures(record["images"]["test"]),
    )


def _pictures(counts: dict[str, int]) -> int | None:
    """Pictures of any gender: the languages may disagree on the gender, not on the pictures.

    None where samples had nothing to pool and were dropped (and counted): then the languages may differ.
    """
    if counts["dropped_samples"]:
        return None
    return sum(number for name, number in counts.items() if name != "dropped_samples")
