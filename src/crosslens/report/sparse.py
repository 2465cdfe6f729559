"""How many features, or channels, hold what a probe reads: sparse probes beside the whole ones."""

from statistics import median
from typing import Any

from crosslens.report.html import tag, term
from crosslens.report.numbers import plain
from crosslens.report.table import Column, bounded, language, site, table, text, value
from crosslens.summary.names import corpus_name

Record = dict[str, Any]


def sparse_shown(probes: list[Record]) -> list[Any]:
    """A table of the AUROC by the number of columns that a probe reads, and its medians in words; nothing where none was read.

    probes: records of kind probes.
    """
    rows = [_row(probe) for probe in probes if probe["sparse"]]
    if not rows:
        return []
    sizes = [of["columns"] for of in max((probe["sparse"] for probe in probes if probe["sparse"]), key=len)]
    columns = [
        site(),
        language(),
        text("condition", "condition"),
        Column("probe on", lambda row: probed(row["corpus"])),
        *(bounded(f"best {size}" if size > 1 else "best one", f"auroc_{size}") for size in sizes),
        bounded("all", "auroc"),
        value("of", "width"),
    ]
    caption = tag(
        "span", term("sparse", "Sparse probes"), ": AUROC on test by how many features or channels are read"
    )
    shown = [row for row in rows if all(f"auroc_{size}" in row for size in sizes)]
    return [
        table("sparse", columns, shown, label="Sparse probes", caption=caption),
        tag("p", in_words(shown, sizes)),
    ]


def probed(corpus: str) -> str:
    """What a probe reads."""
    return "raw activations" if corpus == "activations" else f"codes, {corpus_name(corpus)}"


def in_words(rows: list[Record], sizes: list[int]) -> str:
    """The median AUROC of each size, of codes and of raw activations."""
    lines = []
    for what, of in (
        ("SAE features", [row for row in rows if row["corpus"] != "activations"]),
        ("channels of the raw activations", [row for row in rows if row["corpus"] == "activations"]),
    ):
        if of:
            told = [f"{plain(median(row[f'auroc_{size}'] for row in of), 2)} of {size}" for size in sizes]
            whole = plain(median(row["auroc"] for row in of), 2)
            cases = f"{len(of)} {'case' if len(of) == 1 else 'cases'}"
            lines.append(f"Median AUROC over {cases} by the best {what}: {', '.join(told)}, {whole} of all.")
    return " ".join([*lines, "Chosen on train, not corrected, and part of no claim."])


def _row(probe: Record) -> Record:
    row = {name: probe[name] for name in ("site", "language", "condition", "corpus", "width")}
    row |= {name: probe[name] for name in ("auroc", "auroc_low", "auroc_high")}
    for of in probe["sparse"]:
        for name in ("auroc", "auroc_low", "auroc_high"):
            row[name.replace("auroc", f"auroc_{of['columns']}")] = of[name]
    return row
