"""The certificate as a page."""

from pathlib import Path
from typing import Any

from crosslens.certificate.measure import CERTIFIED
from crosslens.report.html import tag
from crosslens.report.numbers import plain, score_words
from crosslens.report.page import render
from crosslens.report.sections.base import Section
from crosslens.report.table import Column, table
from crosslens.sae.settings import ARCHITECTURES
from crosslens.summary.patching_names import METHODS
from crosslens.summary.reading import Document

NAMES = METHODS | {
    "patching": "activation patching",
    "difference": "difference of means",
    "probe": "logistic probe",
    "logit": "logit lens",
    "tuned": "tuned lens",
    "jacobian": "Jacobian lens",
    **{f"sae_{name}": f"SAE, {name.replace('_', ' ')}" for name in ARCHITECTURES},
    "chance": "chance",
}
NOTHING = "–"
CLAIMS = {
    "true": "the graft's",
    "elsewhere": "others beside it",
    "silent": "its place, language in which it is silent",
    "decoy": "a decoy's",
    "planted": "no graft: planted model",
    "planted_control": "no graft: control model",
    "random_init": "no graft: random weights",
}


def write_page(certificate: Path, out: Path) -> None:
    """One HTML file, of a document of kind certificate."""
    doc = Document(certificate, "certificate")
    seeds = doc("seeds")
    certified = seeds["first"] >= CERTIFIED
    about = f"seeds {seeds['first']} to {seeds['last']}, {doc('cases')} pictures each"
    warnings = [] if certified else [f"Seeds below {CERTIFIED} are for development: this is no certificate."]
    sections = [
        _recovery(
            "places",
            "Where? Methods that say how much goes through a place",
            "Recovery: AUROC of the graft's places among the halves of all blocks (of “(keys)” among the keys of all blocks), by "
            "the size of the estimate: .5 is chance. Error: |estimate − truth| as a share of the effect of the graft's "
            "largest part, the truth from running with and without it. Mean over seeds, 95 % interval from resampling them.",
            doc("places"),
        ),
        _recovery(
            "directions",
            "Which way? Methods that give a direction",
            f"Recovery: AUROC of the direction that the graft writes among {doc('candidates')} made alike of other words, by "
            "|cosine|, behind the block that writes it. Error: |size − truth| / |truth|, of the difference of means and SAEs "
            "in the units of the residual stream, of lenses in nats of the outcome. That a direction comes first says that "
            "the method knows it from directions of other words, and not that it is the only one that matters.",
            doc("directions"),
        ),
        _claimed(doc("claims"), doc("threshold")),
    ]
    page = {
        "study": "certificate",
        "subject": "how often is each method right?",
        "lead": f"Grafts of known place, direction, language and effect in the embedded model: {about}.",
        "warnings": warnings,
        "findings": [],
        "sections": sections,
    }
    Path(out).write_text(render(page), encoding="utf-8")


def _recovery(anchor: str, heading: str, words: str, records: list[dict[str, Any]]) -> Section:
    columns = [
        Column("method", lambda row: NAMES[row["method"]], "row"),
        Column("graft", lambda row: row["kind"]),
        Column("seeds", lambda row: str(row["recovery"]["n"]), "n"),
        Column("recovery", lambda row: score_words(row["recovery"], NOTHING), "n"),
        Column("error of the size", lambda row: score_words(row["error"], NOTHING), "n"),
    ]
    body = [tag("p", words), table(anchor, columns, records, label=heading)]
    return Section(anchor, heading.partition("?")[0] + "?", heading, body)


def _claimed(records: list[dict[str, Any]], threshold: float) -> Section:
    columns = [
        Column("method", lambda row: NAMES[row["method"]], "row"),
        *(
            Column(words, lambda row, name=name: score_words(row.get(name), NOTHING), "n")
            for name, words in CLAIMS.items()
        ),
    ]
    words = (
        f"Of places: the share whose estimate is {plain(threshold, 2)} nats or more, half of the median effect of a graft; but "
        "for the graft's and decoys' places of those alone whose patch moves the outcome by less than half of that, so that "
        "but for the first column every claim is false, and patching is what the others are held to. Of directions: the share "
        "that comes first of its candidates, where chance has one in so many. A lens points to what moves the words that are "
        "asked for, whether a model was given a graft or not: that it comes first does not say that anything was put there."
    )
    parts = [
        tag("p", words),
        *(
            table(
                f"claims_{of}", columns, [row for row in records if row["of"] == of], label=f"Claims of {of}"
            )
            for of in ("places", "directions")
        ),
    ]
    return Section("claims", "What is claimed", "How often is something claimed?", parts)
