"""The sweeps of SAE settings: a table, the recommendation in words and the figure of each, by depth."""

from typing import Any

from markupsafe import Markup

from crosslens.errors import InputError
from crosslens.report.html import details, tag
from crosslens.report.numbers import plain
from crosslens.report.sections.base import Results, Section
from crosslens.report.sections.quality import GATES
from crosslens.report.table import Column, Row, table, text, value
from crosslens.summary.names import corpus_name, language_name, site_name, site_order
from crosslens.summary.reading import Document
from crosslens.summary.sweep import OWN

ORDER = 25
TERMS = {
    "sweep": (
        "Sweep",
        "SAEs trained with other settings on the same tokens. Unbeaten: no other setting has both a smaller L0 and a "
        "smaller FVU.",
    )
}


def section(results: Results) -> Section | None:
    """Where settings were compared."""
    sweeps = results.files.get("sweep", {})
    keys = sorted(sweeps, key=lambda key: site_order(key.rpartition("/")[2]))
    body = [_sweep(key, Document(sweeps[key], "sweep"), results) for key in keys]
    return Section("sweep", "Sweeps", "Sweeps of settings", body, terms=TERMS) if body else None


def _sweep(key: str, doc: Document, results: Results) -> Markup:
    if (own := f"{doc('corpus')}/{doc('site')}") != key:
        raise InputError(doc.path, found=f"the sweep of {own}", expected=key, mend="name the right file")
    title = f"Sweep of settings, {corpus_name(doc('corpus'))}, {site_name(doc('site'))}"
    recommended = doc("recommended")
    rows = [
        setting | {"number": i, "is_recommended": setting["name"] == recommended}
        for i, setting in enumerate(doc("settings"), 1)
    ]
    return details(
        title,
        tag("p", f"Recommended on split select: {_named(recommended)}, as it has {doc('why')} there."),
        table(
            "sweep",
            COLUMNS,
            rows,
            label=title,
            caption="Means over languages, held-out test tokens; numbers as in the figure",
            chosen=lambda row: row["is_recommended"],
        ),
        results.shown(f"{key}/pareto"),
    )


def _named(name: str) -> str:
    return "the study's own settings" if name == OWN else name


def _setting(row: Row) -> Any:
    mark = " " + tag("span", "recommended", class_="pass") if row["is_recommended"] else ""
    return Markup("{}{}").format(_named(row["name"]), mark)


def _failed(row: Row) -> Any:
    failed = [
        f"{GATES.get(gate['gate'], gate['gate'])} ({language_name(gate['language'])}): {gate['says']}"
        for gate in row["gates_failed"]
    ]
    return tag("span", "; ".join(failed), class_="fail") if failed else "none"


COLUMNS = [
    text("", "number", "n"),
    Column("setting", _setting, "row"),
    text("architecture", "architecture"),
    value("features", "d_sae"),
    value("L0", "l0", 1),
    value("FVU", "fvu"),
    value("CE recovered", "ce_recovered"),
    value("dead", "dead", 1),
    Column("unbeaten", lambda row: plain(row["pareto"])),
    Column("gates failed", _failed),
]
