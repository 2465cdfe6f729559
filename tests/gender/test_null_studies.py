"""Whole studies in which nothing has a gender: their pages claim something no more often than the level."""

from collections import Counter
from pathlib import Path

import pytest
from null_study import SECTIONS, headlines
from scipy.stats import binom, binomtest

import crosslens.gender.probes
from crosslens.summary.claims import CLAIMS

LEVEL = 0.05
ELSEWHERE = {
    "sharing": "alignment/test_sharing.py::test_nothing_in_common_is_found_no_more_often_than_by_chance",
    "specific": "alignment/test_sharing.py::test_nothing_in_common_is_found_no_more_often_than_by_chance",
    "matched": "alignment/test_matching.py::test_matched_features_of_unrelated_captions_fire_alike_as_often_as_the_level",
    "clbas": "alignment/test_clbas.py::test_what_matched_features_see_alike_is_no_agreement_on_gender",
    "agreement": "gender/test_gender_agreement.py::test_p_holds_where_sentences_know_no_gender",
    "descriptions": "descriptions/test_labels.py::test_labels_of_nothing_are_called_something_no_more_often_than_the_level",
}
"""Records of the claims that these studies do not make, each with the test of its own null.

In these studies both languages see the same pictures, so that features are shared, and matched ones fire alike, in truth; the
others need SAEs of each language, or what a model writes or is asked. The correction over all claims together is simulated
in report/test_claims.py.
"""


@pytest.fixture(autouse=True)
def fewer_shuffles(monkeypatch):
    """Of train labels: they are shown, and decide nothing."""
    monkeypatch.setattr(crosslens.gender.probes, "SHUFFLES", 1)


def test_what_is_not_simulated_here_has_a_null_of_its_own():
    tests = Path(__file__).parents[1]
    for name, where in ELSEWHERE.items():
        file, test = where.split("::")
        assert f"def {test}(" in (tests / file).read_text(encoding="utf-8"), name


def test_all_that_is_there_is_claimed_and_nothing_else(tmp_path):
    """Categories alone in the one study, all the rest in the other: together they make every claim there is."""
    titles, claims = headlines(tmp_path / "categories", 0, categories=6.0)
    assert claims == ["specialists"] and [name for name in SECTIONS if titles[name]] == ["rankings"]
    titles, claims = headlines(tmp_path / "rest", 0, effect=4.0)
    assert {*claims, "specialists"} == {claim.name for claim in CLAIMS if claim.records not in ELSEWHERE}
    assert [name for name in SECTIONS if not titles[name]] == ["rankings"]


@pytest.mark.long
def test_of_two_hundred_null_studies_a_twentieth_makes_any_claim(tmp_path):
    """Design: 120 pictures, 48 of them train and 48 test, half of each gender, in six categories, that two languages see
    behind a prompt and a caption of three tokens each, at one site of width 10 with an SAE of 30 features; what captions
    say without their pictures is noise; and 48 pictures with four captions in each language that a fair coin makes say
    woman or man. Every analysis runs as by default, with 999 permutations, and every claim of the page but ELSEWHERE is
    tested. Found: 4 of 200 [.005, .050], no claim in more than one.
    """
    any_of_them, made, seeds = 0, Counter(), range(200)
    for seed in seeds:
        titles, claims = headlines(tmp_path / str(seed), seed)
        said = [f"{name}: {title}" for name in SECTIONS for title in titles[name]]
        print(seed, claims, said)
        made.update(claims)
        any_of_them += bool(claims or said)
    interval = binomtest(any_of_them, len(seeds)).proportion_ci()
    print(f"any: {any_of_them} of {len(seeds)} [{interval.low:.3f}, {interval.high:.3f}]; {dict(made)}")
    assert any_of_them <= binom.ppf(0.99, len(seeds), LEVEL)
