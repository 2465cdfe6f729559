"""A probe is said to read gender only beyond what words and a control task reach."""

import pytest

from crosslens.summary.beyond import reading

NOTHING = {"auroc": None, "auroc_high": None, "because": "what is read is the same for all train images"}
FEW = {"auroc": None, "auroc_high": None, "because": "1 female in test, and 2 are needed"}


@pytest.mark.parametrize(
    ("probe", "words", "said"),
    [
        ({}, NOTHING, "beyond"),
        ({}, {"auroc": 0.7, "auroc_high": 0.79}, "beyond"),
        ({}, {"auroc": 0.7, "auroc_high": 0.85}, "words"),
        ({}, {"auroc": 1.0, "auroc_high": 1.0}, "words"),
        ({}, None, "unknown"),
        ({}, FEW, "unknown"),
        ({}, {"auroc": 0.7, "auroc_high": None}, "unknown"),
        ({"control_high": 0.9}, None, "control"),
        ({"q": 0.06}, None, "chance"),
        ({"control_high": 0.9}, NOTHING, "control"),
        ({"control_high": None}, NOTHING, "beyond"),
        ({"q": 0.06}, NOTHING, "chance"),
        ({"auroc_low": 0.49}, NOTHING, "chance"),
        ({"auroc_low": None}, NOTHING, "chance"),
        ({"q": None}, NOTHING, "untested"),
    ],
)
def test_the_least_that_is_not_exceeded_is_what_is_said(probe, words, said):
    strong = {"q": 0.001, "reachable": True, "auroc_low": 0.8, "control_high": 0.6}
    assert reading(strong | probe, words, 0.05) == said
