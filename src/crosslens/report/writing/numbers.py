"""Tables that the written summary has and the page has not, since it shows the same as cards, or as sentences."""

from typing import Any

import numpy as np

from crosslens.report.numbers import plain
from crosslens.report.sections.base import Record, Results
from crosslens.report.table import Column, Table, bounded, language, sae, site, table, text, value
from crosslens.summary.claims import CLAIMS
from crosslens.summary.names import corpus_name, language_name, site_name, site_order
from crosslens.summary.reading import Document
from crosslens.tables.activations import STORED

Shape = dict[str, Any]
WIDTH = "channels (d_model)"
"""The size of the model that a study must know."""
UNMEASURED, UNTESTED = "not asked", "not tested: too few data"


def studied(results: Results, shape: Shape) -> Table:
    """Model, languages, places and SAEs in a few rows; shape: sizes of the model, name -> number."""
    saes, seeds = results.records("saes"), results.settings["sae"].get("seeds") or []
    rows = [{"what": name, "is": str(value)} for name, value in results.source.items() if value is not None]
    rows = [{"what": f"model: {row['what']}", "is": row["is"]} for row in rows]
    rows += [{"what": f"model: {name}", "is": plain(size)} for name, size in shape.items() if size]
    rows += [
        {"what": "languages", "is": ", ".join(map(language_name, results.dataset("languages")))},
        {"what": "sites", "is": ", ".join(map(site_name, results.sites))},
    ]
    for corpus in dict.fromkeys(record["corpus"] for record in saes):
        of = [record for record in saes if record["corpus"] == corpus]
        kinds = dict.fromkeys(f"{record['architecture']}, {plain(record['d_sae'])} features" for record in of)
        places = ", ".join(dict.fromkeys(site_name(record["site"]) for record in of))
        rows.append({"what": corpus_name(corpus), "is": f"{'; '.join(kinds)}; {places}"})
    if saes and seeds:
        rows.append({"what": "seeds of SAEs", "is": ", ".join(map(str, seeds))})
    rows.append({"what": "level of significance", "is": plain(results.level, 2)})
    columns = [text("", "what", "row"), text("", "is")]
    return table("studied", columns, rows, label="Model, languages, places and dictionaries")


def activations(results: Results, shape: Shape) -> list[Table]:
    """How many tokens SAEs encode per site and language, and how large their activations are as they are stored."""
    dtype = results.settings["activations"]["dtype"]
    bytes_each = shape[WIDTH] * np.dtype(STORED[dtype]).itemsize
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for _, folder in results.by_place("features"):
        doc = Document(folder / "rankings.json", "rankings")
        row = {name: doc(name) for name in ("site", "language", "sinks")} | {"roles": ", ".join(doc("roles"))}
        row |= {"samples": doc("samples", "all")}
        row |= {f"tokens_{name}": doc("tokens", name) for name in ("all", "select", "test")}
        row["megabytes"] = (row["tokens_all"] + row["sinks"]) * bytes_each / 1e6
        rows.setdefault((doc("site"), doc("language")), row)
    if not rows:
        return []
    spoken = results.dataset("languages")
    order = sorted(rows, key=lambda place: (site_order(place[0]), spoken.index(place[1])))
    columns = [
        site(),
        language(),
        text("tokens of", "roles"),
        value("samples", "samples"),
        value("tokens", "tokens_all"),
        value("of select", "tokens_select"),
        value("of test", "tokens_test"),
        value("sinks left out", "sinks"),
        value(f"MB of {dtype}", "megabytes", 1),
    ]
    label = "Activations that SAEs encode"
    return [table("activations", columns, [rows[place] for place in order], label=label, caption=label)]


def strongest(results: Results, shape: Shape) -> list[Table]:
    """The feature of each side that differs most on select, with its effect on test."""
    rows = [
        record | entry | {"side": side, "confirmed": entry["confirmed"]}
        for record in results.records("gender")
        for side in ("female", "male")
        for entry in record[f"top_{side}"][:1]
    ]
    if not rows:
        return []
    columns = [
        site(),
        sae(),
        language(),
        text("condition", "condition"),
        text("stronger for", "side"),
        Column("feature", lambda row: f"#{row['feature']}"),
        Column("d", _effect, "n"),
        value("AUROC", "auroc"),
        value("q", "q"),
        Column("significant on test too", lambda row: plain(row["confirmed"])),
    ]
    label = "The most gendered feature of each side"
    caption = f"{label}: chosen on select, d with 95 % CI on test; q over the features of one condition"
    return [table("strongest", columns, rows, label=label, caption=caption)]


def _effect(row: Record) -> Any:
    if row["d"] is None:
        return "infinite"
    return bounded("d", "d").show(row)


def claims(results: Results) -> Table:
    """Every headline that a study can make: in how many of its tests it holds, or why nothing was tested."""
    made = {claim["claim"]: claim for claim in results.summary("claims")}
    rows = [
        made.get(claim.name) or _silent(claim.name, results.records(claim.records), claim.scope)
        for claim in CLAIMS
    ]
    columns = [
        text("claim", "claim", "row"),
        Column("holds in", _holds, "n"),
        Column("of tests", lambda row: "" if row["tests"] is None else value("", "tests").show(row), "n"),
        text("over", "scope"),
        Column("least q", lambda row: "" if row["q"] is None else value("", "q").show(row), "n"),
    ]
    label = "What the study may claim"
    caption = f"q: Benjamini–Hochberg over the tests of a claim, Holm over the claims; level {plain(results.level, 2)}"
    return table("claims", columns, rows, label=label, caption=caption)


def _silent(name: str, records: list[Record], scope: str) -> Record:
    why = "measured, not tested" if records else UNMEASURED
    return {"claim": name, "scope": scope, "tests": None, "q": None, "why": why}


def _holds(row: Record) -> Any:
    if "why" in row:
        return row["why"]
    return value("", "holds").show(row) if row["holds"] or row["reachable"] else UNTESTED


def not_asked(settings: dict[str, str]) -> Table:
    """What the study could have asked; settings: the section of its file that asks -> what for."""
    rows = [{"section": name, "asks": words} for name, words in settings.items()]
    columns = [text("section of the study's file", "section", "row"), text("asks for", "asks")]
    return table("not_asked", columns, rows, label="What was not asked")
