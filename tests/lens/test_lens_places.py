"""Where gender is read, and what is said of it, against numbers by hand."""

import json
from math import comb

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr

from crosslens.lens.places import PAIRS, PICTURES, drawn, places_of
from crosslens.lens.summary import Readings, against_null, correlation


def row(number, gender, caption, spans, split="train", image="p.png", group=None):
    return {
        "sample_id": f"{number}#0",
        "image_id": str(number),
        "group": group or str(number),
        "gender": gender,
        "caption": caption,
        "prompt": "Say.",
        "image": image,
        "image_sha256": "",
        "split": split,
        "label_spans": json.dumps(spans),
    }


def test_the_first_gendered_word_behind_a_picture_where_it_is_one_of_the_two_commonest():
    frame = pd.DataFrame(
        [
            row(1, "female", "a woman and her cat", [[2, 7], [12, 15]]),
            row(2, "female", "a woman sings", [[2, 7]]),
            row(3, "female", "she sings", [[0, 3]]),
            row(4, "male", "a man sings", [[2, 5]]),
            row(5, "unknown", "the man sings", [[4, 7]], split="test"),
            row(5, "unknown", "the woman sings", [[4, 9]], split="test"),
            row(6, "male", "he sings", [[0, 2]], split="test"),
            row(7, "female", "someone sings", [], split="test"),
            row(8, "female", "the lady sings", [[4, 8]], split="test"),
        ]
    )
    found = places_of(frame)
    assert (found.kind, found.words, found.because) == (PICTURES, ("woman", "man"), None)
    # of the picture 5 both captions stand behind the same words
    assert [(place.group, place.sample.caption) for place in found.places] == [
        ("1", "a "),
        ("2", "a "),
        ("4", "a "),
        ("5", "the "),
    ]
    assert {(place.female, place.male) for place in found.places} == {("woman", "man")}
    assert [place.group for place in drawn(found.places, "train", 1)] == ["1", "4"]


def test_both_prefixes_of_a_pair_and_tables_without_a_place():
    female = row("f", "female", "She said that she sang", [[0, 3], [14, 17]], image="", group="s")
    male = row("m", "male", "He said that he sang", [[0, 2], [13, 15]], image="", group="s")
    found = places_of(pd.DataFrame([female, male]))
    assert (found.kind, found.words) == (PAIRS, None)
    assert [(p.gender, p.sample.caption, p.female, p.male, p.pair) for p in found.places] == [
        ("female", "She said that ", "she", "he", "0"),
        ("male", "He said that ", "she", "he", "0"),
    ]
    alone = places_of(pd.DataFrame([female]))
    assert not alone.places and "neither sentences in two genders nor pictures" in alone.because
    of_women = places_of(pd.DataFrame([row(1, "female", "a woman", [[2, 7]])]))
    assert not of_women.places and "no gendered word of their own" in of_women.because


def test_differences_shares_and_likeness_by_hand():
    gender = np.array(["female", "male"] * 4, dtype=object)
    pair = np.array(["0", "0", "1", "1", "2", "2", "3", "3"], dtype=object)
    group = np.array(["a"] * 4 + ["b", "b", "c", "c"], dtype=object)
    early = np.array([1.0, 2, 0, 1, 3, 3, 5, 1])
    late = np.array([4.0, 1, 3, 1, 5, 1, 2, -3])
    readings = Readings(np.stack([early, late], axis=1), gender, group, pair)
    assert readings.paired and readings.counts() == {
        "female": 4,
        "male": 4,
        "unknown": 0,
        "groups": 3,
        "groups_unknown": 0,
    }
    rng = np.random.default_rng(0)
    assert [of["value"] for of in readings.difference(200, rng)] == [
        pytest.approx((-1 - 1 + 0 + 4) / 4),
        pytest.approx((3 + 2 + 4 + 5) / 4),
    ]
    assert [of["value"] for of in readings.told()] == [(0 + 0 + 0.5 + 1) / 4, 1.0]
    assert readings.likeness(late)[0] == pytest.approx(pearsonr(early, late)[0])
    # groups turn round as a whole: the differences of a, b, c are -2, 0, 4 at first, and 5, 4, 5 in the end
    null = readings.null(4000, rng)
    assert {*np.round(null[0] * 4, 9)} == {-6.0, -2.0, 2.0, 6.0}
    said = against_null(readings.difference(200, rng), null, readings.ways())
    assert said[1]["p"] == pytest.approx(2 / 8, abs=0.03), "all groups agree: two of eight ways are as large"
    assert said[0]["p"] > 0.5 and said[0]["least_p"] == said[1]["least_p"] == 2 / 8


def test_pictures_are_compared_between_women_and_men_and_hidden_ones_apart():
    rng = np.random.default_rng(1)
    gender = np.array(["female"] * 30 + ["male"] * 30 + ["unknown"] * 30, dtype=object)
    group = np.arange(90).astype(str).astype(object)
    last = np.where(gender == "female", 2.0, np.where(gender == "male", -2.0, 0.0)) + rng.normal(size=90)
    values = np.stack([rng.normal(size=90), last], axis=1)
    readings = Readings(values, gender, group, np.full(90, "", dtype=object))
    assert not readings.paired
    noise, signal = readings.difference(300, rng)
    assert signal["value"] == pytest.approx(last[:30].mean() - last[30:60].mean())
    assert signal["low"] < signal["value"] < signal["high"] and noise["low"] < 0 < noise["high"]
    first, second = against_null([noise, signal], readings.null(500, rng), readings.ways())
    assert first["least_p"] == 1 / 501
    few = Readings(values[24:36], gender[24:36], group[24:36], np.full(12, "", dtype=object))
    assert few.ways() == comb(12, 6) // 2, "the genders exchanged are as far apart"
    assert second["p"] < 0.01 < first["p"] and second["low"] < 0 < second["high"] < signal["low"]
    assert readings.told()[1]["value"] == pytest.approx(np.mean(last[:30, None] > last[None, 30:60]))
    assert readings.lean(300, rng)[1]["value"] == pytest.approx(last[60:].mean())
    assert readings.spread()[1] == pytest.approx(last[60:].std(ddof=1))
    assert readings.likeness(last, unknown=True)[1] == pytest.approx(1)


def test_p_of_a_block_holds_its_level_over_all_blocks():
    """Nothing is there: how often any of six blocks, that go together, is below .05."""
    below = []
    for seed in range(80):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=(40, 1)) + rng.normal(size=(40, 6)) * np.arange(1, 7)
        gender = np.array(["female", "male"] * 20, dtype=object)
        group = np.arange(40).astype(str).astype(object)
        readings = Readings(values, gender, group, np.full(40, "", dtype=object))
        said = against_null(readings.difference(10, rng), readings.null(99, rng))
        below.append(min(of["p"] for of in said) <= 0.05)
    assert np.mean(below) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 80)
    assert np.mean(below) > 0


def test_the_correlation_of_the_causal_check_is_over_groups():
    rng = np.random.default_rng(2)
    x = rng.normal(size=60)
    y = x + rng.normal(size=60)
    found = correlation(x, y, np.repeat(np.arange(20), 3).astype(str), 200, rng)
    assert found["value"] == pytest.approx(pearsonr(x, y)[0])
    assert found["low"] < found["value"] < found["high"]
    assert correlation(x, np.zeros(60), np.arange(60).astype(str), 50, rng)["value"] is None
