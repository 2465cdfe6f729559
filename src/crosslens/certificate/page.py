"""The certificate as a page."""

from collections.abc import Iterator
from math import isclose
from pathlib import Path
from typing import Any, NamedTuple

from crosslens.certificate.measure import CERTIFIED
from crosslens.report.html import tag
from crosslens.report.numbers import plain, score_words
from crosslens.report.page import render
from crosslens.report.sections.base import Section
from crosslens.report.table import Column, table
from crosslens.sae.settings import ARCHITECTURES
from crosslens.summary.patching_names import METHODS
from crosslens.summary.reading import Document

NAMES = {
    "patching": "activation patching",
    **METHODS,
    "difference": "difference of means",
    "probe": "logistic probe",
    "logit": "logit lens",
    "tuned": "tuned lens",
    "jacobian": "Jacobian lens",
    **{f"sae_{name}": f"SAE, {name.replace('_', ' ')}" for name in ARCHITECTURES},
    **{f"specialist_{name}": f"specialist, {name.replace('_', ' ')}" for name in ARCHITECTURES},
    "sharing": "sharing",
    "selectivity": "language selectivity",
    "nu": "ν",
    "matching": "matching",
    "specialist": "specialist",
    "chance": "chance",
}
"""In the order of the tables."""
SAYS = {
    "sharing": "shared by the languages",
    "selectivity": "one language's",
    "matching": "the same in both SAEs",
    "specialist": "there is one of the set",
}
"""What a method calls a feature; ν gives a number alone."""
FEATURES = {"known": "the graft itself", "frozen_decoder": "SAE, frozen decoder"}
MODELS = {
    "planted": "no graft: planted model",
    "planted_control": "no graft: control model",
    "random_init": "no graft: random weights",
}


class Shown(NamedTuple):
    """A table, and the question that it answers."""

    name: str
    heading: str
    words: str
    columns: list[Column]
    records: list[dict[str, Any]]


def write_page(certificate: Path, out: Path) -> None:
    """One HTML file, of a document of kind certificate."""
    doc = Document(certificate, "certificate")
    seeds = doc("seeds")
    certified = seeds["first"] >= CERTIFIED
    about = f"seeds {seeds['first']} to {seeds['last']}, {doc('cases')} pictures each"
    warnings = [] if certified else [f"Seeds below {CERTIFIED} are for development: this is no certificate."]
    page = {
        "study": "certificate",
        "subject": "how often is each method right?",
        "lead": f"Grafts of known place, direction, language and effect in the embedded model: {about}.",
        "warnings": warnings,
        "findings": [],
        "sections": [_section(of) for of in shown(doc)],
    }
    Path(out).write_text(render(page), encoding="utf-8")


def shown(doc: Document) -> Iterator[Shown]:
    """The tables of a document of kind certificate that have a row."""
    threshold, claims = plain(doc("threshold"), 2), doc("claims")
    held = (
        f"The share whose estimate is {threshold} nats or more, half of the median effect of a graft; but for the first "
        "column and decoys of those alone whose patch moves the outcome by less than half of that, so that every such "
        "claim is false; patching is what the others are held to."
    )
    own_features = (
        "The same of single features of a TopK SAE: first the one that is most along what the graft writes, then others "
        "beside it. "
    )
    first = (
        f"The share that comes first of {doc('candidates')} candidates, where chance has one in so many. A lens points to "
        "what moves the words that are asked for, whether a model was given a graft or not: that it comes first does not "
        "say that anything was put there."
    )
    tables = [
        Shown(
            "places", "Where? Methods that say how much goes through a place", PLACES, RECOVERY, doc("places")
        ),
        Shown(
            "directions", "Which way? Methods that give a direction", DIRECTIONS, RECOVERY, doc("directions")
        ),
        Shown(
            "calls",
            "Whose? Methods that call a feature shared, or one language's",
            CALLS,
            CALLED,
            doc("calls"),
        ),
        *(
            Shown(f"claims_{of}", f"How often is something claimed of {of}?", words, CLAIMED, own)
            for of, words in (("places", held), ("features", own_features + held), ("directions", first))
            if (own := [row for row in claims if row["of"] == of])
        ),
    ]
    return (of._replace(records=_ordered(of.records)) for of in tables if of.records)


def _ordered(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of a graft or of a dictionary together, as they come, and the methods in one order."""
    apart = [row.get("kind", row.get("sae")) for row in records]
    place = {of: number for number, of in enumerate(dict.fromkeys(apart))}
    methods = [*NAMES]
    keys = [(place[of], methods.index(row["method"])) for of, row in zip(apart, records, strict=True)]
    return [records[i] for i in sorted(range(len(records)), key=keys.__getitem__)]


PLACES = (
    "Recovery: AUROC of the graft's places among the halves of all blocks (of “(keys)” among the keys of all blocks, "
    "of “(features)” among the features of a TopK SAE behind the graft's block), by the size of the estimate: .5 is "
    "chance. Error: |estimate − truth| as a share of the effect of the graft's largest part, the truth from running "
    "with and without it. Mean over seeds, 95 % interval from resampling them."
)
DIRECTIONS = (
    "Recovery: AUROC of the direction that the graft writes among others made alike of other words, by |cosine|, "
    "behind the block that writes it. Error: |size − truth| / |truth|, of the difference of means and SAEs in the "
    "units of the residual stream, of lenses in nats of the outcome. That a direction comes first says that the "
    "method knows it from directions of other words, and not that it is the only one that matters."
)
CALLS = (
    "Of the feature that fires and whose decoder row is most along what the graft writes. Recovery: AUROC of shared "
    "grafts against those of one language, by the number that the method gives. Then the share of which the method "
    "says what it says; of a graft of one language selectivity must name that language. Without a graft it is the "
    "feature that is most along the direction that a graft would write, and nobody knows what would be right. "
    "“Nothing to be found”: any feature at all is called so where pairs of captions are shuffled (sharing), languages"
    " exchanged by a coin (selectivity), the second SAE turned at random (matching), categories drawn (specialist). "
    "The frozen decoder was drawn and has learned no feature."
)


def _method(row: dict[str, Any]) -> str:
    return NAMES[row["method"]]


def score_columns(titles: dict[str, str]) -> list[Column]:
    """Of scores of these names, with their titles."""
    return [
        Column(title, lambda row, name=name: _score(row.get(name)), "n") for name, title in titles.items()
    ]


def _score(score: dict[str, Any] | None) -> str:
    """Seeds that all agree give no interval: one that has no width would say that no other seed could differ."""
    known = score is not None and score["low"] is not None
    if known and isclose(score["low"], score["high"], abs_tol=1e-9):
        return f"{plain(score['value'], 2)} in all"
    return score_words(score, "–")


METHOD = Column("method", _method, "row")
RECOVERY = [
    METHOD,
    Column("graft", lambda row: row["kind"]),
    Column("seeds", lambda row: str(row["recovery"]["n"]), "n"),
    *score_columns({"recovery": "recovery", "error": "error of the size"}),
]
CALLED = [
    METHOD,
    Column("features", lambda row: FEATURES.get(row["sae"], f"SAE, {row['sae']}")),
    Column("says of a feature", lambda row: SAYS.get(row["method"], "–")),
    Column("seeds", lambda row: str((row["recovery"] or row["shared"])["n"]), "n"),
    *score_columns(
        {
            "recovery": "recovery",
            "shared": "shared graft",
            "one": "graft of one language",
            "planted": "no graft",
            "nothing": "nothing to be found",
        }
    ),
]
CLAIMED = [
    METHOD,
    Column("seeds", lambda row: str(row["true"]["n"]), "n"),
    *score_columns(
        {
            "true": "the graft's",
            "elsewhere": "others beside it",
            "silent": "its place, language in which it is silent",
            "decoy": "a decoy's",
            **MODELS,
        }
    ),
]


def _section(of: Shown) -> Section:
    body = [tag("p", of.words), table(of.name, of.columns, of.records, label=of.heading)]
    short, _, more = of.heading.partition("?")
    return Section(
        of.name, f"{short}?" if more else f"Claims of {of.name.partition('_')[2]}", of.heading, body
    )
