"""Do the languages share their gendered features?"""

from pathlib import Path
from typing import Any

from crosslens.summary.reading import Document
from crosslens.summary.records.base import Files, Record, larger

CORRELATIONS = ("pearson", "spearman")
CLAIMED = ("live", "pearson")
"""What the page claims something of, so that it is corrected; the others are shown beside it."""


def records(files: Files) -> dict[str, list[Record]]:
    """`cross_lingual`: as `cross_lingual_records`."""
    return {"cross_lingual": cross_lingual_records(files["cross_lingual"])}


def cross_lingual_records(cross_lingual: dict[str, Path]) -> list[dict[str, Any]]:
    """One record per condition, pair of languages, family and method: r, CI, r without noise and the two nulls."""
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
                            "groups": result["groups"],
                            "labels_disagree": result["labels_disagree"],
                            "tested": result[family]["tested"],
                            "because": result[family]["because"]
                            or (None if found["r"] is not None else "no feature varies in both"),
                            **{name: found[name] for name in ("r", "low", "high")},
                            **{name: found[name] for name in ("reliability", "disattenuated")},
                            "null": found["null"],
                        }
                        | _family(found, claimed=(family, method) == CLAIMED)
                    )
    return records


def _family(found: dict[str, Any], *, claimed: bool) -> dict[str, Any]:
    """The larger p of both nulls, as r must be beyond both, in a family of all such r of the study."""
    test = larger(found["null"]) if claimed else dict.fromkeys(("p", "least_p"))
    return test | {"q_family": None if test["p"] is None else "cross_lingual"}
