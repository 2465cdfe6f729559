"""What is left of the study's numbers without what should carry them?"""

from crosslens.report.controlled import Row, apart, at_their_best, beside_controls, called, number, rows_of
from crosslens.report.html import tag, term
from crosslens.report.sections.base import Finding, Results, Section
from crosslens.report.table import Column, site, table
from crosslens.summary.control_names import CONTROLS, MEASURES, told_of
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
    controls, shown = doc("controls"), rows_of(doc)
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


def told(control: str):
    """Shows the value of one control."""

    def show(row: Row) -> str:
        record = row["by"].get(control)
        return "" if record is None else number(record)

    return show


def finding(rows: list[Row], controls: list[str]) -> Finding:
    """At its best site, which measures lie above which of the controls that were measured there?"""
    lines: list[str] = []
    above: dict[str, list[bool]] = {name: [] for name in controls}
    for row in at_their_best(rows).values():
        if said := beside_controls(row, controls):
            lines.append(said)
            for name, is_above in apart(row, controls).items():
                above[name].append(is_above)
    counts = [f"{CONTROLS[name]} {sum(of)} of {len(of)}" for name, of in above.items() if of]
    if not counts:
        named = called(controls)
        title = f"Nothing with an interval was measured both here and in a control ({named})."
        return Finding("warning", title, lines)
    title = (
        f"At the layer where each is largest, so many measures lie above a control, 95 % intervals apart: {'; '.join(counts)}. "
        "The layer was chosen by these same numbers."
    )
    return Finding("description" if any(map(any, above.values())) else "null", title, lines)
