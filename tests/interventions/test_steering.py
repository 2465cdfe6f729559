"""The rule by which a strength is chosen, and what is asked of sentences and pictures."""

import numpy as np
import pytest

from crosslens.interventions.doses import between, chosen_strength


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


def test_what_is_not_defined_has_no_interval():
    assert between(np.full(5, np.nan)) == {"value": None, "low": None, "high": None}
    told = between(np.array([0.5, 0.1, 0.2, np.nan, 0.9]))
    assert told["value"] == 0.5 and 0.1 <= told["low"] <= told["high"] <= 0.9
