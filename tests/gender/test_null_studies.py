"""Whole studies in which nothing has a gender: their pages claim something no more often than the level."""

import os
from collections import Counter
from pathlib import Path

import pytest
from null_study import SECTIONS, headlines
from scipy.stats import binom, binomtest

import crosslens.gender.probes
from crosslens.summary.claims import CLAIMS

LEVEL = 0.05
STUDIES = int(os.environ.get("CROSSLENS_NULL_STUDIES", "200"))
ELSEWHERE = {
    "ablated": "interventions/test_ablation.py::test_features_like_their_controls_are_found_as_often_as_the_level_says",
    "steered": "interventions/test_steering.py::test_an_arm_that_is_one_more_random_set_is_beyond_them_as_often_as_the_level",
    "effects_alike": "interventions/test_substitution.py::test_strong_features_cost_more_whatever_they_stand_for",
}
"""Records of the claims that take a model, which these studies have not, each with the test of its own null."""
TRUE = {"features are shared", "matched features fire alike"}
"""Where both languages see the same pictures: of their captions, not of gender."""


@pytest.fixture(autouse=True)
def fewer_shuffles(monkeypatch):
    """Of train labels: they are shown, and decide nothing."""
    monkeypatch.setattr(crosslens.gender.probes, "SHUFFLES", 1)


def test_what_is_not_simulated_here_has_a_null_of_its_own():
    tests = Path(__file__).parents[1]
    for name in {claim.records for claim in CLAIMS} & ELSEWHERE.keys():
        file, test = ELSEWHERE[name].split("::")
        assert f"def {test}(" in (tests / file).read_text(encoding="utf-8"), name


@pytest.mark.long
def test_categories_that_are_there_are_claimed_and_nothing_else(tmp_path):
    """In the normal suite tests/report/test_rankings.py has the claim of specialists."""
    titles, claims = headlines(tmp_path / "categories", 0, categories=6.0, alike=False)
    assert {*claims} == TRUE | {"specialists"}
    assert [name for name in SECTIONS if titles[name]] == ["rankings", "sharing"]


def test_all_that_is_there_is_claimed_and_nothing_else(tmp_path):
    """But for categories, above: together they make every claim there is."""
    titles, claims = headlines(tmp_path / "rest", 0, effect=4.0)
    assert {*claims, "specialists"} == {claim.name for claim in CLAIMS if claim.records not in ELSEWHERE}
    # what two SAEs share is described; the claim of its section is of genders
    assert [name for name in SECTIONS if not titles[name]] == ["rankings"]


@pytest.mark.long
@pytest.mark.parametrize("alike", [True, False])
def test_of_two_hundred_null_studies_a_twentieth_makes_any_claim(tmp_path, alike):
    """Design: 120 pictures, 48 of them train and 48 test, half of each gender, in six categories, behind which two languages
    have a prompt and a caption of three tokens each, at one site of width 10; an SAE of 30 features of both languages and
    one of each; what captions say without their pictures is noise; 48 pictures with four captions in each language that a
    fair coin makes say woman or man; and 30 sentences in each language behind which the odds of a gender are noise. Both
    languages see the same pictures, or have nothing in common. Every analysis runs as by default, with 999 permutations, and
    every claim of the page is tested. docs/statistics.md has the figures.
    """
    any_of_them, made, seeds = 0, Counter(), range(STUDIES)
    for seed in seeds:
        titles, claims = headlines(tmp_path / str(seed), seed, alike=alike)
        false = [claim for claim in claims if not (alike and claim in TRUE)]
        said = [
            f"{name}: {title}"
            for name in SECTIONS
            for title in titles[name]
            if not (alike and name == "sharing")
        ]
        print(seed, claims, said, flush=True)
        made.update(claims)
        any_of_them += bool(false or said)
    interval = binomtest(any_of_them, len(seeds)).proportion_ci()
    print(f"any: {any_of_them} of {len(seeds)} [{interval.low:.3f}, {interval.high:.3f}]; {dict(made)}")
    assert any_of_them <= binom.ppf(0.99, len(seeds), LEVEL)
