"""The rankings of an SAE's features, and its specialists."""

from pathlib import Path
from typing import Any

from crosslens.summary.reading import Document, split_key
from crosslens.summary.records.base import Files, Record, check_records


def records(files: Files) -> dict[str, list[Record]]:
    """`rankings`: as `ranking_records`; `specialists`: one a category that was tested."""
    rankings = {key: folder / "rankings.json" for key, folder in files["features"].items()}
    return {"rankings": ranking_records(rankings), "specialists": specialist_records(rankings)}


def check(summary: dict[str, Any]) -> None:
    """The SAEs whose quality was measured."""
    check_records(summary, "rankings")


def specialist_records(rankings: dict[str, Path]) -> list[dict[str, Any]]:
    """The best feature of each category by SAE and language, and what chance gives."""
    names = ("category", "feature", "specialist", "score", "score_by_chance", "n_inside", "p")
    records = []
    for key, path in rankings.items():
        corpus, language = split_key(key)
        doc = Document(path, "rankings")
        of = {"corpus": corpus, "language": language, "site": doc("site")}
        records += [of | {name: row[name] for name in names} for row in doc("specialists", "features")]
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
                "p": specialists.get("found_p"),
                "least_p": specialists.get("least_p"),
                "q_family": "specialists" if specialists.get("found_p") is not None else None,
            }
        )
    return records
