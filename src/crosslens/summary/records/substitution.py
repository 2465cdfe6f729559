"""Do matched features do the same?"""

from typing import Any

from crosslens.summary.reading import Document
from crosslens.summary.records.base import Files, Record, bounds, expect, larger

NAMED = ("role", "language", "first", "second", "groups", "pairs")


def records(files: Files) -> dict[str, list[Record]]:
    """`substituted` and `effects_alike` of the one document of a site."""
    (path,) = files["substitution"].values()
    doc = Document(path, "substitution")
    here = [{"site": doc("site")} | {name: of[name] for name in NAMED} for of in doc("comparisons")]
    both = [*zip(here, doc("comparisons"), strict=True)]
    return {
        "substituted": [base | _point(point) for base, of in both for point in of["curve"]],
        "effects_alike": [
            base | _effects(effect, of["role"]) for base, of in both for effect in of["effects"]
        ],
    }


def check(summary: dict[str, Any]) -> None:
    """At this site."""
    for name in ("substituted", "effects_alike"):
        for record in summary[name]:
            expect(f"{name} of {record['first']}", "site", record["site"], summary["site"])


def _point(point: dict[str, Any]) -> Record:
    """So many features at once: what ablating them costs, and the share of it that partners, and shuffled ones, recover."""
    record = {"n": point["n"]} | bounds("ablated", point["cost"]["ablated"])
    for name, score in point["recovered"].items():
        record |= bounds(f"{name}_recovered", score)
    return record


def _effects(effect: dict[str, Any], role: str) -> Record:
    """How alike matched features are in what each costs: `p`, the larger of both nulls, of the cross-entropy of the two
    languages' SAEs is corrected in the family `effects`."""
    test = larger(effect["null"])
    own = role == "languages" and effect["outcome"] == "ce"
    return (
        {
            name: effect[name]
            for name in ("outcome", "groups", "features", "tested", "because", "pearson", "null")
        }
        | bounds("spearman", effect["spearman"])
        | test
        | {"q_family": "effects" if own and test["p"] is not None else None}
    )
