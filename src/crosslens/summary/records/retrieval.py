"""Do captions lie beside their translations?"""

from pathlib import Path
from typing import Any

from crosslens.summary.reading import Document
from crosslens.summary.records.base import Files, Record, bounds, check_pairs


def records(files: Files) -> dict[str, list[Record]]:
    """`retrieval` and `cka` of the one document of a site."""
    (path,) = files["retrieval"].values()
    return {"retrieval": retrieval_records(path), "cka": cka_records(path)}


def check(summary: dict[str, Any]) -> None:
    """This site's."""
    check_pairs(summary, "retrieval")


def retrieval_records(path: Path) -> list[dict[str, Any]]:
    """One record per source, target and centring: R@1, R@5 and MRR with CI beside chance, over `images` candidates."""
    doc = Document(path, "retrieval")
    records = []
    for pair in doc("pairs"):
        for row in pair["retrieval"]:
            record = {"site": doc("site"), "images": pair["images"]}
            record |= {name: row[name] for name in ("source", "target", "centred")}
            for name in pair["chance"]:
                record |= bounds(name, row[name]) | {f"{name}_chance": pair["chance"][name]}
            records.append(record)
    return records


def cka_records(path: Path) -> list[dict[str, Any]]:
    """One record per pair of languages: CKA, unbiased and biased, beside the mean and 95 % level of shuffled pairs.

    `same_text`: per language, images whose captions another image has too.
    """
    doc = Document(path, "retrieval")
    records = []
    for pair in doc("pairs"):
        record = {"site": doc("site")} | {name: pair[name] for name in ("languages", "images", "same_text")}
        for name, found in pair["cka"].items():
            record |= {name: found["value"], f"{name}_null": found["null"]["mean"]}
            record |= {f"{name}_q95": found["null"]["q95"], f"{name}_p": found["null"]["p"]}
        records.append(record)
    return records
