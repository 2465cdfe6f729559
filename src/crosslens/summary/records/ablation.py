"""What does it cost each language to lose the features of one of them?"""

from typing import Any

from crosslens.summary.reading import Document
from crosslens.summary.records.base import Files, Record, bounds, expect

LISTS = ("ablated", "ablated_shared")


def records(files: Files) -> dict[str, list[Record]]:
    """`ablated`: one record per SAE, pair of languages and language of the two; `ablated_shared`: per SAE and pair.

    `p`, of how much more the features of a language cost it than the other one, is corrected in the family `ablation`;
    `least_p`: what it would be if each cost more than all of its controls, which of one or two features is not little.
    """
    found: dict[str, list[Record]] = {name: [] for name in LISTS}
    for corpus, path in files["ablation"].items():
        doc = Document(path, "ablation")
        base = {"corpus": corpus, **{name: doc(name) for name in ("site", "sae", "groups")}}
        for pair in doc("pairs"):
            here = base | {"languages": pair["languages"]}
            found["ablated"] += [here | _ablated(of) for of in pair["specific"]]
            found["ablated_shared"].append(here | _shared(pair["shared"]))
    return found


def check(summary: dict[str, Any]) -> None:
    """The SAEs whose quality was measured, at this site."""
    saes = {record["corpus"]: record["sae"] for record in summary.get("saes", [])}
    for name in LISTS:
        for record in summary[name]:
            where = f"{name} of {record['corpus']} at {summary['site']}"
            expect(where, "site", record["site"], summary["site"])
            expect(where, "the SAE's digest", record["sae"], saes.get(record["corpus"], record["sae"]))


def _ablated(of: dict[str, Any]) -> Record:
    names = ("own", "other", "difference")
    record = {name: of[name] for name in ("language", "tested", "because", "found", "features", "controls")}
    for name in names:
        record |= bounds(name, of["of"][name]) | {f"{name}_beside": of["beside"][name]["value"]}
    test = {name: of["null"]["difference"][name] for name in ("p", "least_p")}
    return record | test | {"q_family": None if test["p"] is None else "ablation"}


def _shared(of: dict[str, Any]) -> Record:
    record = {name: of[name] for name in ("found", "features")}
    for name, score in of["of"].items():
        record |= bounds(name, score)
    return record
