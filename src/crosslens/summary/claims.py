"""What the page may claim of a study, each with the tests over which it is corrected: those of its family, and the other claims.

The p of a claim is Simes' of its family, the least of Benjamini-Hochberg's q of the tests; that is corrected by Holm over
all claims which the study tests. So of studies in which nothing is there at most the level makes any claim at all. A claim
is made where it stays at or below the level and a test of its family does, the right way. The families are named by the
records (`q_family`): a record that is in none is shown, never claimed.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from crosslens.stats.fdr import benjamini_hochberg, holm
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


def agrees_matched(record: Record, level: float, records: Records | None = None) -> bool:
    """The gender effects of matched features agree beyond both nulls, as in `agrees`."""
    return significant(record, level) and record["value"] > max(
        0, *(null["q975"] for null in record["null"].values())
    )


def harms_its_own(record: Record, level: float, records: Records | None = None) -> bool:
    """The features of a language cost it more than they cost the other one, and beyond random features as frequent."""
    return significant(record, level) and (record["difference_low"] or 0) > 0


def costs_alike(record: Record, level: float, records: Records | None = None) -> bool:
    """Matched features that cost much cost much in the other SAE too, beyond both shuffles of partners."""
    return significant(record, level) and record["spearman"] > 0


def goes_on(record: Record, level: float, records: Records | None = None) -> bool:
    """The model prefers the form that agrees with what it has read in more than half of a sentence, on average: what p is of."""
    return significant(record, level) and record["by_sentence"] > 0.5


def steers(record: Record, level: float, records: Records | None = None) -> bool:
    """An arm moves what the model says the wanted way, further than random features as long do."""
    return significant(record, level) and record["moved_low"] > 0


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
    Claim("features are shared", "sharing", "features", "layers, dictionaries and pairs of languages", found),
    Claim(
        "features are specific to a language",
        "specific",
        "features",
        "layers, dictionaries and pairs of languages",
        found,
    ),
    Claim(
        "features of a language matter to it more",
        "ablated",
        "ablation",
        "layers, dictionaries and languages",
        harms_its_own,
    ),
    Claim(
        "matched features cost alike",
        "effects_alike",
        "effects",
        "layers and languages",
        costs_alike,
    ),
    Claim("matched features fire alike", "matched", "activations", "layers and pairs of languages", found),
    Claim(
        "effects of matched features agree",
        "clbas",
        "matched",
        "layers, conditions and pairs of languages",
        agrees_matched,
    ),
    Claim("the model goes on as gender asks", "agreement", "agreement", "languages", goes_on),
    Claim(
        "gender can be steered",
        "steered",
        "steering",
        "layers, dictionaries, arms, languages they are found in and languages they are applied in",
        steers,
    ),
    Claim("specialists", "rankings", "specialists", "layers, dictionaries and languages", found),
    Claim(
        "labels tell where features fire",
        "descriptions",
        "descriptions",
        "layers, dictionaries, features, languages and methods",
        describes,
    ),
    Claim("one gender is written more often", "tilt", "tilt", "languages", found),
    Claim(
        "the gender that is written hangs on the category", "differences", "differences", "languages", found
    ),
)


def claimed(records: Records, level: float) -> list[dict[str, Any]]:
    """Give the records (of all layers) their `q` and `reachable`, and tell each claim that was tested.

    q of a record that is in a family: the larger of Benjamini-Hochberg's in it and of its claim's p by Holm; None of all
    others that name a family. reachable: whether it could have been at or below the level, if every test of its family
    had the least p that it can have (`least_p`), beside the other claims as they are; where it could not, that nothing was
    found says nothing (`tested.decided`). Of a claim: its family, the number of tests, the least p and q, in how many tests
    it holds, and whether one of them is reachable.
    """
    families = {}
    for name, of_name in records.items():
        for record in of_name:
            if "q_family" in record:
                record["q"] = record["reachable"] = None
                if record["q_family"] is not None:
                    families.setdefault((name, record["q_family"]), []).append(record)
    for family in families.values():
        found, best = (benjamini_hochberg([record[name] for record in family]) for name in ("p", "least_p"))
        for record, q, least in zip(family, found, best, strict=True):
            record["q"], record["reachable"] = float(q), bool(least <= level)
    tested = [claim for claim in CLAIMS if (claim.records, claim.family) in families]
    simes = [min(r["q"] for r in families[claim.records, claim.family]) for claim in tested]
    for number, (claim, p) in enumerate(zip(tested, holm(np.array(simes)), strict=True)):
        family = families[claim.records, claim.family]
        reachable = _reachable(family, number, simes, level)
        for record in family:
            record["q"] = max(record["q"], float(p))
            # what was claimed could be, even where a floor of p is a little too high
            record["reachable"] = record["q"] <= level or (record["reachable"] and reachable)
    return [
        {"claim": claim.name, "records": claim.records, "family": claim.family, "scope": claim.scope}
        | {"tests": len(family)}
        | {name: min(record[name] for record in family) for name in ("p", "q")}
        | {"holds": sum(claim.holds(record, level, records) for record in family)}
        | {"reachable": any(record["reachable"] for record in family)}
        for claim in tested
        for family in [families[claim.records, claim.family]]
    ]


def _reachable(family: list[Record], number: int, simes: list[float], level: float) -> bool:
    """Whether the claim of that number could stay at or below the level, the other claims as they are."""
    best = benjamini_hochberg([record["least_p"] for record in family]).min()
    return bool(holm(np.array([*simes[:number], best, *simes[number + 1 :]]))[number] <= level)
