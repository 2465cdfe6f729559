"""Which statements of the literature, and of one's own, live here?"""

from collections import Counter

from crosslens.report.html import tag, term
from crosslens.report.numbers import number
from crosslens.report.sections.base import Finding, Results, Section
from crosslens.report.table import Column, table
from crosslens.summary.reading import Document

ORDER = 92
ORDERED = ("lives", "dies", "undecided", "not tested")
TERMS = {
    "verdict": (
        "Lives, dies, undecided",
        "A claim is tried in units (a language, a pair, at each layer or over all). It holds in one where the whole 95 % "
        "interval of the estimate lies beyond the threshold (a count by itself), and fails where the whole lies on the other "
        "side. It dies where it holds in less than a tenth of the units that are decided, or where a control reaches the "
        "study's own value in at least half of the units that both have. It lives where it holds in nine tenths of them, at "
        "least half of all units are decided, and every control that it names was there and is passed in nine tenths. All "
        "else is undecided. Verdicts are not corrected for the number of claims, and are of these studies alone.",
    ),
}


def section(results: Results) -> Section | None:
    """Where the study puts claims to the test."""
    if "verdicts" not in results.files:
        return None
    doc = Document(results.files["verdicts"][""], "verdicts")
    claims = sorted(doc("claims"), key=lambda claim: (ORDERED.index(claim["verdict"]), claim["name"]))
    columns = [
        Column("claim", lambda claim: claim["statement"]),
        Column("who says so", lambda claim: claim["source"]),
        Column("threshold", threshold),
        Column("verdict", lambda claim: claim["verdict"]),
        Column("why", lambda claim: claim["because"]),
    ]
    body = [
        tag("p", "Each statement, and whether it ", term("verdict", "lives, dies or is undecided"), "."),
        table("verdicts", columns, claims, label="Claims and their verdicts", caption="Claims"),
    ]
    counts = Counter(claim["verdict"] for claim in claims)
    told = ", ".join(f"{counts[name]} {SAID[name][counts[name] > 1]}" for name in ORDERED if counts[name])
    title = f"{len(claims)} statement{'s' * (len(claims) > 1)}: {told}."
    killed = [
        f"Killed by a control: {claim['statement']} ({claim['because']})"
        for claim in claims
        if any(of["told"] == "reached" for of in claim["controls"].values()) and claim["verdict"] == "dies"
    ]
    return Section(
        "verdicts", "Claims", "Which claims live?", body, [Finding("description", title, killed)], terms=TERMS
    )


SAID = {
    "lives": ("lives", "live"),
    "dies": ("dies", "die"),
    "undecided": ("is undecided", "are undecided"),
    "not tested": ("could not be tested", "could not be tested"),
}
"""Of one, of several."""


def threshold(claim: dict) -> str:
    """What the estimate has to exceed, or to stay under."""
    side = "above" if claim["above"] is not None else "below"
    return f"{side} {number(claim[side])}"
