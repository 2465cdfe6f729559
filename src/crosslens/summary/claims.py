"""What the page may claim of a study, each with the family of tests over which it is corrected.

A claim is made where one of its family's tests has a q at or below the study's level and goes the right way. q is
Benjamini-Hochberg's over all tests of the family, so that where nothing is there the chance that any of them is claimed is
at most the level. The families are named by the records (`q_family`): a record that is in none is shown, never claimed.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from crosslens.summary.beyond import reading, words_beside

Record = dict[str, Any]
Records = dict[str, list[Record]]


class Claim(NamedTuple):
    """A headline of the page."""

    name: str
    records: str
    """The list of records that it is made of."""
    family: str
    """The q_family of its records."""
    scope: str
    """The family in words."""
    holds: Callable[[Record, float, Records], bool]
    """Whether a record of the family, its q given, carries the claim at a level."""


def significant(record: Record, level: float) -> bool:
    """Whether a test of a family is below the level after correction; never where nothing was tested."""
    return record["q"] is not None and record["q"] <= level


def more_gendered(record: Record, level: float, records: Records | None = None) -> bool:
    """More features tell the genders apart than under shuffled labels."""
    return significant(record, level) and record["significant"] > 0


def reads_gender(record: Record, level: float, records: Records) -> bool:
    """A probe reads gender beyond the words and beyond a control task."""
    words = words_beside(records.get("words", []), record["language"], record["condition"])
    return reading(record, words, level) == "beyond"


def agrees(record: Record, level: float, records: Records | None = None) -> bool:
    """The gender effects of two languages agree beyond both nulls: r is above their bands, which need not be around 0."""
    return significant(record, level) and record["r"] > max(
        0, *(null["q975"] for null in record["null"].values())
    )


def transfers(record: Record, level: float, records: Records | None = None) -> bool:
    """A gender direction of one language tells gender in another, above the band of random directions."""
    return significant(record, level) and record["auroc"] > record["null_high"]


def points_alike(record: Record, level: float, records: Records | None = None) -> bool:
    """The gender directions of two languages point the same way, beyond what shuffled labels give, which need not be 0."""
    return significant(record, level) and record["cosine"] > max(0, record["null_high"])


def found(record: Record, level: float, records: Records | None = None) -> bool:
    """One-sided tests: the value is above its null."""
    return significant(record, level)


def more_found(record: Record, level: float, records: Records | None = None) -> bool:
    """A caption finds its translation more often than the prompt behind the same picture."""
    return significant(record, level) and record["r1"] > 0


def describes(record: Record, level: float, records: Records | None = None) -> bool:
    """A label tells where its feature fires, and more than it tells of the texts of other features."""
    others = 0.5 if record["shuffled"] is None else record["shuffled"]
    return significant(record, level) and record["accuracy_low"] > others


CLAIMS = (
    Claim(
        "more gendered features than chance",
        "gender",
        "gendered_features",
        "layers, dictionaries, languages and conditions",
        more_gendered,
    ),
    Claim("probes read gender", "probes", "probes", "layers, inputs, languages and conditions", reads_gender),
    Claim(
        "effects agree between languages",
        "cross_lingual",
        "cross_lingual",
        "layers, dictionaries, pairs of languages and conditions",
        agrees,
    ),
    Claim("gender transfers", "transfer", "masked", "layers, methods, conditions and directions", transfers),
    Claim(
        "gender directions point the same way",
        "directions",
        "masked",
        "layers, conditions and pairs of languages",
        points_alike,
    ),
    Claim("translations are found", "retrieval", "words", "layers and directions", found),
    Claim("captions are alike (CKA)", "cka", "words", "layers and pairs of languages", found),
    Claim(
        "translations are found beyond the picture",
        "above_prompt",
        "above_prompt",
        "layers and directions",
        more_found,
    ),
    Claim("specialists", "rankings", "specialists", "layers, dictionaries and languages", found),
    Claim(
        "labels tell where features fire",
        "descriptions",
        "descriptions",
        "layers, dictionaries, features, languages and methods",
        describes,
    ),
)
SCOPES = {(claim.records, claim.family): claim.scope for claim in CLAIMS}


def claimed(records: Records, level: float) -> list[dict[str, Any]]:
    """Each claim that was tested: its family, the number of tests, the least p and q, in how many tests it holds.

    `records` of all layers, with q.
    """
    made = []
    for claim in CLAIMS:
        family = [r for r in records.get(claim.records, []) if r.get("q_family") == claim.family]
        if family:
            made.append(
                {"claim": claim.name, "records": claim.records, "family": claim.family, "scope": claim.scope}
                | {"tests": len(family)}
                | {name: min(record[name] for record in family) for name in ("p", "q")}
                | {"holds": sum(claim.holds(record, level, records) for record in family)}
            )
    return made
