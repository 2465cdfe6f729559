"""Claims of a study: each is corrected over its family and over the others, and made of nothing no more often than the level."""

import re
from pathlib import Path

import numpy as np
import pytest
from markupsafe import Markup
from scipy.stats import false_discovery_control, norm

from crosslens.report import sections
from crosslens.report.table import judged
from crosslens.summary.claims import CLAIMS, claimed
from crosslens.summary.tested import untested

LEVEL = 0.05


def drawn(p, *, claim):
    """Records of one claim's family with these p, all of them the right way."""
    right = {
        "significant": 3,
        "r": 0.3,
        "auroc": 0.9,
        "null_high": 0.6,
        "cosine": 0.7,
        "r1": 0.4,
        "value": 0.7,
        "by_sentence": 0.9,
    }
    right |= {"null": {"pairing": {"q975": 0.1}, "labels": {"q975": 0.2}}}
    right |= {"auroc_low": 0.8, "control_high": 0.6, "language": "en", "condition": "caption"}
    right |= {"accuracy_low": 0.8, "shuffled": 0.5, "difference_low": 0.1, "spearman": 0.4, "moved_low": 0.1}
    return {
        claim.records: [
            right | {"p": float(value), "least_p": 1e-9, "q_family": claim.family} for value in p
        ],
        "words": [
            {"language": "en", "condition": "caption", "auroc": None, "auroc_high": None}
            | {"because": "what is read is the same for all train images"}
        ],
    }


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_a_claim_holds_where_its_q_does(claim):
    p = [0.001, 0.02, 0.03, 0.04, 0.5, 0.9]
    (made,) = [found for found in claimed(drawn(p, claim=claim), LEVEL) if found["claim"] == claim.name]
    expected = false_discovery_control(p)
    assert made["tests"] == 6 and made["q"] == pytest.approx(expected.min())
    assert made["holds"] == (expected <= LEVEL).sum() < (np.array(p) <= LEVEL).sum()


def test_claims_are_corrected_for_each_other_and_tests_keep_their_own_q():
    """Holm by hand: of four claims with the p .001, .012, .02 and .2 the third is .02 × 2, and the second no more than it."""
    families = [[0.001, 0.6], [0.006, 0.5], [0.02], [0.2]]
    records = {}
    for claim, p in zip(CLAIMS, families, strict=False):
        records |= drawn(p, claim=claim)
    made = {found["claim"]: found for found in claimed(records, LEVEL)}
    q = [made[claim.name]["q"] for claim in CLAIMS[:4]]
    assert q == pytest.approx([4 * 0.002, 3 * 0.012, 2 * 0.02, 0.2])
    assert [made[claim.name]["holds"] for claim in CLAIMS[:4]] == [1, 1, 1, 0]
    assert [r["q"] for r in records[CLAIMS[0].records]] == pytest.approx([0.008, 0.6])
    assert [r["q"] for r in records[CLAIMS[1].records]] == pytest.approx([0.036, 0.5])


@pytest.mark.parametrize("studies", [100, pytest.param(3000, marks=pytest.mark.long)])
def test_studies_of_nothing_make_any_claim_as_often_as_the_level(studies):
    """All claims of the page, of eight tests each that resemble each other; each corrected by itself, a third would make one."""
    rng, by_itself, made = np.random.default_rng(0), 0, 0
    for _ in range(studies):
        records = {}
        for claim in CLAIMS:
            z = np.sqrt(0.5) * rng.normal() + np.sqrt(0.5) * rng.normal(size=8)
            records |= {
                name: [*records.get(name, []), *some] for name, some in drawn(norm.sf(z), claim=claim).items()
            }
            by_itself += false_discovery_control(norm.sf(z)).min() <= LEVEL
        made += any(found["holds"] for found in claimed(records, LEVEL))
    assert made / studies <= LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / studies)
    assert by_itself / studies > 0.3


@pytest.mark.parametrize("alike", [0.0, 0.5, 0.95])
def test_families_of_nothing_are_claimed_as_often_as_the_level(alike):
    """Tests of layers resemble each other: equally correlated ones, 24 a study. Each taken alone would claim far more."""
    rng, studies, claim = np.random.default_rng(0), 1000, CLAIMS[0]
    z = np.sqrt(alike) * rng.normal(size=(studies, 1)) + np.sqrt(1 - alike) * rng.normal(size=(studies, 24))
    p = norm.sf(z)
    made = np.mean([claimed(drawn(of_study, claim=claim), LEVEL)[0]["holds"] > 0 for of_study in p])
    assert made <= LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / studies)
    assert np.mean((p <= LEVEL).any(axis=1)) > 1.5 * LEVEL


def test_what_goes_the_wrong_way_or_is_in_no_family_is_not_claimed():
    claim = next(claim for claim in CLAIMS if claim.records == "cross_lingual")
    records = drawn([0.001], claim=claim)
    records["cross_lingual"] = [record | {"r": -0.3} for record in records["cross_lingual"]]
    assert [made["holds"] for made in claimed(records, LEVEL)] == [0]
    records["cross_lingual"] = [record | {"q_family": None} for record in records["cross_lingual"]]
    assert claimed(records, LEVEL) == []


def test_a_model_that_goes_on_against_the_gender_it_has_read_is_no_claim():
    claim = next(claim for claim in CLAIMS if claim.records == "agreement")
    records = drawn([0.001], claim=claim)
    records["agreement"] = [record | {"by_sentence": 0.1} for record in records["agreement"]]
    assert [made["holds"] for made in claimed(records, LEVEL)] == [0]


@pytest.mark.parametrize(
    ("name", "below"),
    [
        ("cross_lingual", {"null": {"pairing": {"q975": 0.1}, "labels": {"q975": 0.6}}}),
        ("directions", {"null_high": 0.9}),
        ("descriptions", {"shuffled": 0.8}),
    ],
)
def test_what_is_positive_and_below_its_band_is_not_claimed(name, below):
    """Shared pictures lift what shuffled labels give: r or a cosine far under it has a small two-sided p, and agrees less."""
    claim = next(claim for claim in CLAIMS if claim.records == name)
    records = drawn([0.001] * 3, claim=claim)
    records[name] = [record | below for record in records[name]]
    assert [made["holds"] for made in claimed(records, LEVEL)] == [0]


def test_what_so_few_units_could_never_show_is_not_reachable():
    """Six pictures, all of one gender: p .031 is the least there is, and beside two claims of nothing it is not enough."""
    claims = {claim.name: claim for claim in CLAIMS}
    tilt, others = claims["one gender is written more often"], [CLAIMS[0], CLAIMS[2]]
    records = {}
    for claim in others:
        records |= drawn([0.6], claim=claim)
    records |= {tilt.records: [{"p": 0.031, "least_p": 0.031, "q_family": tilt.family}]}
    made = {claim["claim"]: claim for claim in claimed(records, LEVEL)}
    assert not made[tilt.name]["reachable"] and not made[tilt.name]["holds"]
    assert all(made[claim.name]["reachable"] for claim in others)
    alone = {tilt.records: [{"p": 0.4, "least_p": 0.031, "q_family": tilt.family}]}
    (claim,) = claimed(alone, LEVEL)
    assert claim["reachable"] and not claim["holds"], "a null that was tested"


def test_a_test_of_few_is_told_apart_from_a_null_of_many_in_one_family():
    """Of two tests of one claim the one of six pictures could not have been claimed, and the other could: each says so."""
    (claim, *others) = CLAIMS[:3]
    records = drawn([0.4, 0.5], claim=claim)
    records[claim.records][0]["least_p"] = 0.06
    for other in others:
        records |= drawn([0.6], claim=other)
    claimed(records, LEVEL)
    few, many = records[claim.records]
    assert not few["reachable"] and many["reachable"]
    assert untested(few, "pictures").startswith("with so few pictures no result")
    assert untested(many, "pictures") is None
    assert untested(few | {"q": None, "because": "there is one gender"}, "") == "there is one gender"
    records = drawn([1e-6, 0.5], claim=claim)
    records[claim.records][0]["least_p"] = 0.9
    claimed(records, LEVEL)
    assert untested(records[claim.records][0], "pictures") is None, "what is found needs no excuse"


@pytest.mark.parametrize(
    ("record", "p", "q", "why"),
    [
        ({"q_family": "f", "p": 0.2, "q": 0.6, "reachable": True}, "0.200", "0.600", False),
        ({"q_family": "f", "p": 0.2, "q": 0.6, "reachable": False}, "not tested", "not tested", True),
        ({"q_family": None, "p": None, "q": None, "reachable": None}, "not tested", "not tested", True),
        ({"q_family": None, "p": 0.2, "q": None, "reachable": None}, "0.200", "", True),
    ],
)
def test_a_table_shows_what_the_findings_read(record, p, q, why):
    """What is in no family but has a p stands beside the claims: there is no q of it."""
    row = {"part": record}
    shown = [judged("", name, within=["part"]).show(row) for name in ("p", "q")]
    assert [Markup(cell).striptags() for cell in shown] == [p, q]
    assert bool(untested(record, "pictures")) == why


def test_a_record_of_a_family_has_to_say_what_it_could_have_shown():
    for claim in CLAIMS:
        records = drawn([0.4], claim=claim)
        del records[claim.records][0]["least_p"]
        with pytest.raises(KeyError, match="least_p"):
            claimed(records, LEVEL)


def test_every_claim_says_over_what_it_is_corrected_and_no_section_finds_anything_else():
    """A positive finding is of kind found, and a claim; gates of quality are no tests."""
    said = set()
    for path in Path(sections.__file__).parent.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        of_section = set(re.findall(r"""results\.corrected\(["'](\w+)["'], ["'](\w+)["']\)""", text))
        assert of_section or path.stem == "quality" or '"found",' not in text, path.name
        said |= of_section
    assert said == {(claim.records, claim.family) for claim in CLAIMS}
