"""What labels of features are worth."""

from math import comb
from pathlib import Path
from typing import Any

from crosslens.summary.reading import Document
from crosslens.summary.records.base import Files, Record, bounds, check_records


def records(files: Files) -> dict[str, list[Record]]:
    """`descriptions`: as `description_records`."""
    return {"descriptions": description_records(files["descriptions"])}


def check(summary: dict[str, Any]) -> None:
    """This site's, of the SAEs whose quality was measured."""
    check_records(summary, "descriptions")


def description_records(scores: dict[str, Path]) -> list[Record]:
    """One record per SAE, method, feature and language: the label, and how well it tells in which held-out texts the
    feature fires; p of the tests of all of them is corrected together. `least_p`: what p would be if it told all of its
    pairs."""
    return [
        {"site": doc("site"), "corpus": corpus, "sae": doc("sae")}
        | {name: row[name] for name in ("method", "feature", "named", "language", "label")}
        | {"firing": row["fires_in"]["firing"], "texts": row["fires_in"]["texts"]}
        | {name: row[name] for name in ("pairs", "unanswered", "sensitivity", "specificity")}
        | bounds("accuracy", row["accuracy"])
        | {name: row[name] for name in ("shuffled", "shuffled_over", "because", "p")}
        | {"least_p": 1 / comb(2 * row["pairs"], row["pairs"])}
        | {"q_family": None if row["p"] is None else "descriptions"}
        for corpus, path in scores.items()
        for doc in [Document(path, "descriptions")]
        for row in doc("rows")
    ]
