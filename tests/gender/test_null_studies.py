"""Whole studies without any gender: their pages claim something no more often than the level."""

from collections import Counter

import pytest
from null_study import SECTIONS, headlines
from scipy.stats import binom

import crosslens.gender.probes

LEVEL = 0.05


@pytest.fixture(autouse=True)
def fewer_shuffles(monkeypatch):
    """Of train labels: they are shown, and decide nothing."""
    monkeypatch.setattr(crosslens.gender.probes, "SHUFFLES", 1)


def claims(folder, seeds, **drawn):
    """Section -> in how many of the studies it has a positive finding."""
    made = Counter()
    for seed in seeds:
        made.update(name for name, titles in headlines(folder / str(seed), seed, **drawn).items() if titles)
    print({name: f"{made[name]} of {len(seeds)}" for name in SECTIONS})
    return made


def test_a_null_study_claims_nothing_and_one_with_an_effect_does(tmp_path):
    assert not claims(tmp_path, range(1), sites=("4",))
    made = headlines(tmp_path / "there", 0, effect=4.0, sites=("4",))
    assert made["gender"] and made["transfer"] and made["cross_lingual"]


@pytest.mark.long
def test_of_two_hundred_null_studies_a_twentieth_claims_anything(tmp_path):
    seeds = range(200)
    made = claims(tmp_path, seeds)
    assert all(made[name] <= binom.ppf(0.99, len(seeds), LEVEL) for name in SECTIONS), made
