"""The certificate's tables in Markdown, where a text cites them between two marks."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from crosslens.certificate.page import METHOD, RECOVERY, score_columns, shown
from crosslens.report.table import Column
from crosslens.summary.reading import Document

MARKS = re.compile(r"(<!-- certificate: (\w+) -->\n).*?(<!-- /certificate -->)", re.DOTALL)
"""Around what is written here: `compact` or `whole`."""
COMPACT = {
    "where": ("places", ["patching", "atp", "atp_star", "relp"], "topk"),
    "which way": ("directions", ["difference", "jacobian", "sae_topk", "sae_frozen_decoder"], "topk"),
    "whose is the graft's own feature": ("calls", ["sharing", "selectivity"], "known"),
    "whose is an SAE's feature": ("calls", ["sharing", "matching"], "topk"),
}
"""What is asked -> table, methods, and of which features."""
WRONG = {"sharing": "one", "selectivity": "shared", "matching": "one"}
"""Grafts of which a method's claim is false."""


def cited(text: str, certificate: Path) -> str:
    """`text` with its tables as the document of kind certificate has them."""
    doc = Document(certificate, "certificate")
    written: dict[str, Callable[[Document], str]] = {"compact": compact, "whole": whole}
    return MARKS.sub(lambda found: found[1] + written[found[2]](doc) + found[3], text)


def whole(doc: Document) -> str:
    """Every table of the page."""
    parts = [f"**{of.heading}**\n\n{markdown(of.columns, of.records)}\n" for of in shown(doc)]
    return f"{_seeds(doc)}\n\n" + "\n".join(parts)


def compact(doc: Document) -> str:
    """Of the shared graft, by the methods of COMPACT."""
    tables, rows = {of.name: of.records for of in shown(doc)}, []
    for asked, (name, methods, features) in COMPACT.items():
        claims = {row["method"]: row["decoy"] for row in doc("claims") if row["of"] == name}
        for row in tables.get(name, []):
            of_shared = row.get("kind", "shared") == "shared" and row.get("sae", features) == features
            if row["method"] in methods and of_shared:
                wrong = row[WRONG[row["method"]]] if name == "calls" else claims[row["method"]]
                rows.append(row | {"asked": asked, "wrong": wrong})
    columns = [
        Column("asked", lambda row: row["asked"]),
        METHOD,
        *RECOVERY[2:],
        *score_columns({"wrong": "wrongly claimed"}),
    ]
    return f"{_seeds(doc)}\n\n{markdown(columns, rows)}\n"


def markdown(columns: Sequence[Column], rows: Sequence[dict[str, Any]]) -> str:
    """A table; stars are no emphasis."""
    lines = [[column.title for column in columns], ["---"] * len(columns)]
    lines += [[str(column.show(row)) for column in columns] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines).replace("*", r"\*")


def _seeds(doc: Document) -> str:
    seeds = doc("seeds")
    return f"Grafts of seeds {seeds['first']} to {seeds['last']}, {doc('cases')} pictures each; means over seeds [95 % interval]."
