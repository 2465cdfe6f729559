"""What the controls of a study reach of its measures, in words."""

from typing import Any

from crosslens.report.numbers import bracketed, plain
from crosslens.summary.control_names import CONTROLS, MEASURES, by_line, told_of
from crosslens.summary.names import site_name
from crosslens.summary.reading import Document

Record = dict[str, Any]
Row = dict[str, Any]
"""`measure`, `of` and `site`, and `by`: control -> its record; the study itself is the control of no name."""


def rows_of(doc: Document) -> list[Row]:
    """Those of a document of kind controls."""
    found: dict[tuple, Row] = {}
    for (measure, of, control), records in by_line(doc("records")).items():
        for record in records:
            site = record["site"]
            row = found.setdefault(
                (measure, of, site), {"measure": measure, "of": of, "site": site, "by": {}}
            )
            row["by"][control] = record
    return list(found.values())


def at_their_best(rows: list[Row]) -> dict[tuple[str, tuple[str, ...]], Row]:
    """(measure, of) -> its row at the site where the study's own value is largest."""
    best: dict[tuple, Row] = {}
    for row in rows:
        own, key = row["by"].get(""), (row["measure"], row["of"])
        if own is None or own["value"] is None:
            continue
        if key not in best or own["value"] > best[key]["by"][""]["value"]:
            best[key] = row
    return best


def beside_controls(row: Row, controls: list[str]) -> str:
    """The study's value beside that of each control, and which of them it is not above; empty where none has one."""
    names = [name for name in controls if name in row["by"] and row["by"][name]["value"] is not None]
    if not names:
        return ""
    found = apart(row, controls)
    reached = [name for name, is_above in found.items() if not is_above]
    says = f"not above {called(reached)}" if reached else "above all of them"
    beside = ", ".join(f"{CONTROLS[name]} {number(row['by'][name])}" for name in names)
    measure = MEASURES[row["measure"]]
    return (
        f"{measure[:1].upper()}{measure[1:]}, {told_of(list(row['of']), row['measure'])}, {site_name(row['site'])}: "
        f"{number(row['by'][''])}; {beside}: {says if found else _bare(row, names)}."
    )


def apart(row: Row, controls: list[str]) -> dict[str, bool]:
    """Of each control that has an interval beside the study's: whether the study's lies above it."""
    own = row["by"][""]["low"]
    high = {name: row["by"][name]["high"] for name in controls if name in row["by"]}
    return {name: own > value for name, value in high.items() if own is not None and value is not None}


def number(record: Record) -> str:
    """A value with its interval."""
    bounded = {"value_low": record["low"], "value_high": record["high"]}
    return plain(record["value"]) + (bracketed(bounded, "value") if record["low"] is not None else "")


def called(controls: list[str]) -> str:
    """Their names."""
    return ", ".join(CONTROLS[name] for name in controls)


def _bare(row: Row, names: list[str]) -> str:
    """Of a measure without an interval, which controls have no less of it."""
    own = row["by"][""]["value"]
    reach = [name for name in names if row["by"][name]["value"] >= own]
    return "no interval" + (f", and {called(reach)} not below" if reach else "")
