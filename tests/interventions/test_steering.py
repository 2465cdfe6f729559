"""The rule by which a strength is chosen, and what is asked of sentences and pictures."""

import numpy as np
import pandas as pd
import pytest

from crosslens.interventions.doses import _beside, between, chosen_strength
from crosslens.interventions.steered import sentences


@pytest.mark.parametrize(
    ("moved", "within", "expected"),
    [
        ([0.1, 0.40, 0.41, 0.45], [1, 1, 1, 1], 2),  # .41 is nine tenths of .45, .40 is not
        ([0.1, 0.40, 0.41, 0.45], [1, 1, 1, 0], 1),
        ([0.1, 0.40, 0.41, 0.45], [0, 0, 0, 0], 0),
        ([-0.1, -0.4, -0.4, -0.4], [1, 1, 1, 1], 0),
        ([0.2, 0.0, 0.0, 0.5], [0, 1, 1, 1], 3),
    ],
)
def test_the_smallest_strength_that_moves_nearly_as_far_within_the_cost(moved, within, expected):
    strengths = np.array([0.5, 1.0, 2.0, 4.0])
    assert chosen_strength(strengths, np.array(moved), np.array(within, dtype=bool)) == expected


def test_an_arm_that_is_one_more_random_set_is_beyond_them_as_often_as_the_level():
    rng = np.random.default_rng(0)
    p = np.array([_beside(abs(own), np.abs(others))["p"] for own, *others in rng.normal(size=(4000, 40))])
    assert p.min() == 1 / 40 and np.mean(p <= 0.05) == pytest.approx(0.05, abs=0.012)


def test_what_is_not_defined_has_no_interval():
    assert between(np.full(5, np.nan), 10) == {"value": None, "low": None, "high": None}
    told = between(np.array([0.5, 0.1, 0.2, np.nan, 0.9]), 10)
    assert told["value"] == 0.5 and 0.1 <= told["low"] <= told["high"] <= 0.9


def test_of_a_sentence_its_first_target_is_asked_behind_both_prefixes():
    rows = [
        ("a", "female", "She sees her dog and her cat.", "[[0, 3], [9, 12], [21, 24]]"),
        ("a", "male", "He sees his dog and his cat.", "[[0, 2], [8, 11], [20, 23]]"),
        ("b", "female", "She runs.", "[[0, 3]]"),
        ("b", "male", "He runs.", "[[0, 2]]"),
    ]
    frame = pd.DataFrame(rows, columns=["group", "gender", "caption", "label_spans"])
    found = sentences(frame.assign(split="test", prompt=""), 5)
    assert (found.each, found.left_out, found.group.tolist()) == (2, 1, ["a"])
    asked = [(question.prefix, question.female, question.male) for question in found.questions]
    assert asked == [("She sees ", "her", "his"), ("He sees ", "her", "his")]
