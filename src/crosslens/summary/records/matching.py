"""Do the SAEs of two languages find the same features?"""

from typing import Any

from crosslens.summary.reading import Document
from crosslens.summary.records.base import Files, Record, expect, larger

COUNTS = ("role", "names", "features", "tested", "because", "matched", "same_partner", "shared")

LEAST_REACH = 0.02
"""Of the ceiling above the floor, in MCC: what is nearer to it has no place between them."""


def records(files: Files) -> dict[str, list[Record]]:
    """`matching`, `matched` and `clbas` of the one document of a site."""
    (folder,) = files["matching"].values()
    doc = Document(folder / "matching.json", "matching")
    return {"matching": matching_records(doc), "matched": matched_records(doc), "clbas": clbas_records(doc)}


def check(summary: dict[str, Any]) -> None:
    """The SAEs whose quality was measured, at this site."""
    saes = {record["corpus"]: record["sae"] for record in summary.get("saes", [])}
    for record in summary["matched"]:
        where = f"matched features of {record['languages']} at {summary['site']}"
        expect(where, "site", record["site"], summary["site"])
        for language, sae in zip(record["languages"], record["saes"], strict=True):
            expect(where, f"the digest of {language}", sae, saes.get(language, sae))


def matching_records(doc: Document) -> list[Record]:
    """One record per pair of languages and comparison: the languages' SAEs, two seeds of one, and the floors.

    `between`, of the languages' SAEs: how far their MCC is on the way from the floor (one of them turned) to the ceiling
    (two seeds, the mean over the languages); None without a ceiling, or where that is hardly above the floor.
    """
    return [
        {"site": doc("site"), "languages": pair["languages"]}
        | {name: of[name] for name in COUNTS}
        | {"share": of["shared"] / of["matched"] if of["tested"] else None}
        | {f"mmcs_{side}": of["mmcs"][side] for side in ("decoder", "encoder")}
        | {f"mcc_{side}": of["mcc"][side] for side in ("decoder", "encoder")}
        | {f"transport_{name}": of["transport"][name] for name in ("cost", "partners", "on_matched")}
        | {"between": _between(pair) if of is pair else None}
        for pair in doc("pairs")
        for of in (pair, *pair["ceilings"], *pair["floors"])
    ]


def _between(pair: dict[str, Any]) -> float | None:
    if not pair["tested"]:
        return None
    floor = next(of["mcc"]["decoder"] for of in pair["floors"] if of["role"] == "turned")
    ceilings = [of["mcc"]["decoder"] for of in pair["ceilings"] if of["tested"]]
    reach = sum(ceilings) / len(ceilings) - floor if ceilings else 0.0
    return (pair["mcc"]["decoder"] - floor) / reach if reach >= LEAST_REACH else None


def matched_records(doc: Document) -> list[Record]:
    """One record per pair of languages: how many matched features fire alike on captions of the same images.

    `p` is corrected in the family `activations`.
    """
    records = []
    for pair in doc("pairs"):
        of = pair["activations"]
        records.append(
            {"site": doc("site"), "languages": pair["languages"], "saes": pair["saes"]}
            | {name: of[name] for name in ("tested", "because", "groups", "shared_found")}
            | {
                "matched": pair["matched"],
                "found": of["found"] or 0,
                "chance": of["mean"],
                "chance_q95": of["q95"],
            }
            | {"r_matched": of["median"]["matched"], "r_shared": of["median"]["shared"]}
            | {name: of[name] for name in ("p", "least_p")}
            | {"q_family": None if of["p"] is None else "activations"}
        )
    return records


def clbas_records(doc: Document) -> list[Record]:
    """One record per pair of languages, condition and family of pairs: CLBAS beside both its nulls.

    `p`, the larger of both, of all matched features, is corrected in the family `matched`.
    """
    records = []
    for pair in doc("pairs"):
        for of in pair["clbas"]:
            test = larger(of["null"])
            records.append(
                {"site": doc("site"), "languages": pair["languages"]}
                | {name: of[name] for name in ("condition", "family", "features", "tested", "because")}
                | {name: of[name] for name in ("images", "groups")}
                | {"value": of["value"], "null": of["null"]}
                | test
                | {"q_family": "matched" if of["family"] == "matched" and test["p"] is not None else None}
            )
    return records
