"""What is left of the study's numbers without what should carry them?"""

from crosslens.report.html import tag, term
from crosslens.report.numbers import bracketed, plain
from crosslens.report.sections.base import Finding, Record, Results, Section
from crosslens.report.table import Column, site, table
from crosslens.summary.control_names import CONTROLS, MEASURES, by_line, told_of
from crosslens.summary.names import site_name
from crosslens.summary.reading import Document

ORDER = 90
TERMS = {
    "controls": (
        "Controls",
        "The same study with one thing taken away. Untrained model: every parameter but embeddings and output head drawn anew "
        "with the mean and deviation of its trained values (arXiv 2501.17727). Frozen decoder: SAEs whose decoder stays at its "
        "random start (2602.14111). In Latin letters: Arabic letter by letter (Safe Buckwalter), the same language in another "
        "script. Words shuffled: the words of each {unit} in a drawn order. What a control reaches too does not come from "
        "what it lacks.",
    ),
}


def section(results: Results) -> Section | None:
    """Where the study names controls."""
    if "controls" not in results.files:
        return None
    doc = Document(results.files["controls"][""], "controls")
    controls, lines = doc("controls"), by_line(doc("records"))
    shown = rows(lines)
    columns = [
        Column("measure", lambda row: MEASURES[row["measure"]]),
        Column("of", lambda row: told_of(list(row["of"]), row["measure"])),
        site(),
        *(Column(CONTROLS[control], told(control)) for control in ("", *controls)),
    ]
    body = [
        tag(
            "p",
            "Each number beside that of its ",
            term("controls", "controls"),
            "; 95 % CI in brackets where there is one.",
        ),
        results.shown("controls"),
        table(
            "controls", columns, shown, label="Measures of the study and of its controls", caption="Per layer"
        ),
    ]
    return Section(
        "controls", "Controls", "What is left without it?", body, [finding(shown, controls)], terms=TERMS
    )


def rows(lines: dict[tuple[str, tuple[str, ...], str], list[Record]]) -> list[Record]:
    """A row for every measure, of what, and site, with the record of each control."""
    found: dict[tuple, Record] = {}
    for (measure, of, control), records in lines.items():
        for record in records:
            row = found.setdefault(
                (measure, of, record["site"]),
                {"measure": measure, "of": of, "site": record["site"], "by": {}},
            )
            row["by"][control] = record
    return list(found.values())


def told(control: str):
    """Shows the value of one control."""

    def show(row: Record) -> str:
        record = row["by"].get(control)
        return "" if record is None else number(record)

    return show


def number(record: Record) -> str:
    """A value with its interval."""
    bounded = {"value_low": record["low"], "value_high": record["high"]}
    return plain(record["value"]) + (bracketed(bounded, "value") if record["low"] is not None else "")


def apart(row: Record, controls: list[str]) -> dict[str, bool]:
    """Of each control that has an interval beside the study's: whether the study's lies above it."""
    own = row["by"][""]["low"]
    high = {name: row["by"][name]["high"] for name in controls if name in row["by"]}
    return {name: own > value for name, value in high.items() if own is not None and value is not None}


def finding(shown: list[Record], controls: list[str]) -> Finding:
    """At its best site, which measures lie above which of the controls that were measured there?"""
    best: dict[tuple, Record] = {}
    for row in shown:
        own, key = row["by"].get(""), (row["measure"], row["of"])
        if own is None or own["value"] is None:
            continue
        if key not in best or own["value"] > best[key]["by"][""]["value"]:
            best[key] = row
    lines: list[str] = []
    above: dict[str, list[bool]] = {name: [] for name in controls}
    for (measure, of), row in best.items():
        names = [name for name in controls if name in row["by"] and row["by"][name]["value"] is not None]
        if not names:
            continue
        found = apart(row, controls)
        for name, is_above in found.items():
            above[name].append(is_above)
        reached = [name for name, is_above in found.items() if not is_above]
        says = f"not above {_called(reached)}" if reached else "above all of them"
        beside = ", ".join(f"{CONTROLS[name]} {number(row['by'][name])}" for name in names)
        lines.append(
            f"{MEASURES[measure][:1].upper()}{MEASURES[measure][1:]}, {told_of(list(of), measure)}, {site_name(row['site'])}: "
            f"{number(row['by'][''])}; {beside}: {says if found else _bare(row, names)}."
        )
    counts = [f"{CONTROLS[name]} {sum(of)} of {len(of)}" for name, of in above.items() if of]
    if not counts:
        named = _called(controls)
        title = f"Nothing with an interval was measured both here and in a control ({named})."
        return Finding("warning", title, lines)
    title = (
        f"At the layer where each is largest, so many measures lie above a control, 95 % intervals apart: {'; '.join(counts)}. "
        "The layer was chosen by these same numbers."
    )
    return Finding("description" if any(map(any, above.values())) else "null", title, lines)


def _called(controls: list[str]) -> str:
    return ", ".join(CONTROLS[name] for name in controls)


def _bare(row: Record, names: list[str]) -> str:
    """Of a measure without an interval, which controls have no less of it."""
    own = row["by"][""]["value"]
    reach = [name for name in names if row["by"][name]["value"] >= own]
    return "no interval" + (f", and {_called(reach)} not below" if reach else "")
