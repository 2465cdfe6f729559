"""Which features do two languages share, and which belong to one?"""

from pathlib import Path
from typing import Any

from crosslens.summary.reading import Document
from crosslens.summary.records.base import Files, Record, expect

LISTS = {"sharing": "shared", "specific": "specific"}
"""List of records -> what is counted in it."""


def records(files: Files) -> dict[str, list[Record]]:
    """`sharing` and `specific`: as `counted`."""
    paths = {corpus: folder / "sharing.json" for corpus, folder in files["sharing"].items()}
    return {name: counted(paths, what) for name, what in LISTS.items()}


def check(summary: dict[str, Any]) -> None:
    """The SAEs whose quality was measured, at this site."""
    saes = {record["corpus"]: record["sae"] for record in summary.get("saes", [])}
    for name in LISTS:
        for record in summary[name]:
            where = f"{name} of {record['corpus']} at {summary['site']}"
            expect(where, "site", record["site"], summary["site"])
            expect(where, "the SAE's digest", record["sae"], saes.get(record["corpus"], record["sae"]))


def counted(paths: dict[str, Path], what: str) -> list[Record]:
    """One record per SAE and pair of languages: how many features are `what`, and how many by chance.

    `p`, of the number, is corrected in the family `features`.
    """
    records = []
    for corpus, path in paths.items():
        doc = Document(path, "sharing")
        for pair in doc("pairs"):
            counts = pair[what]
            records.append(
                {"corpus": corpus, "site": doc("site"), "sae": doc("sae")}
                | {name: pair[name] for name in ("languages", "images", "units", "groups")}
                | {"tokens_per_caption": [doc("tokens_per_caption", key) for key in pair["languages"]]}
                | {name: counts[name] for name in ("tested", "because", "features", "found")}
                | {"chance": counts["mean"], "chance_q95": counts["q95"]}
                | (_shared(pair) if what == "shared" else _specific(pair))
                | {name: counts[name] for name in ("p", "least_p")}
                | {"q_family": None if counts["p"] is None else "features"}
            )
    return records


def _shared(pair: dict[str, Any]) -> Record:
    """How alike the features live in both are, and in which of the languages the others are live."""
    return {
        "r_median": pair["r"]["median"],
        "live_first": pair["live"]["first"],
        "live_second": pair["live"]["second"],
        "also_specific": sum(of["features"] for of in pair["classes"] if of["shared"] and of["specific"]),
    }


def _specific(pair: dict[str, Any]) -> Record:
    """Of each language: features, those that fire (nearly) nowhere else, the usual selectivity, and those not shared."""
    scaling = pair["scaling"] or {"unmasked": None, "median_ratio": None}
    classes = [[of for of in pair["classes"] if of["specific"] == language] for language in pair["languages"]]
    return {
        "of": [sum(of["features"] for of in some) for some in classes],
        "exclusive": [sum(of["exclusive"] for of in some) for some in classes],
        "unmasked": scaling["unmasked"],
        "scaling_median": scaling["median_ratio"],
        "not_shared": [sum(of["features"] for of in some if not of["shared"]) for some in classes],
    }
