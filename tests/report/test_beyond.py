"""A probe is said to read gender only beyond what words and a control task reach."""

import pytest
from stand_in import StandIn

from crosslens.report.sections import cross_lingual, gender
from crosslens.report.terms import READ_ALL_THE_SAME
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


MASKED = [{"language": name, "condition": "caption", "masked": 9} | NOTHING for name in ("en", "ar")]


@pytest.mark.parametrize(
    ("condition", "masked", "said"), [("caption", 9, 1), ("caption", 0, 0), ("prompt", 9, 0)]
)
def test_what_is_found_with_words_masked_may_be_what_they_said(condition, masked, said):
    """The model has read them: of probes as of effects and of what languages share."""
    words = [of | {"condition": condition, "masked": masked, "leaks": False} for of in MASKED]
    common = {"site": "4", "corpus": "joint", "condition": condition, "q": 0.01, "reachable": True}
    bounds = {"auroc": 0.9, "auroc_low": 0.8, "auroc_high": 0.95, "n": 90, "groups": 30, "shuffled": 0.5}
    probe = common | bounds | {"language": "en", "control": 0.5, "control_high": 0.6}
    found = gender.probes_finding([probe], words, StandIn({"words": words}))
    assert found.kind == "found" and found.lines.count(READ_ALL_THE_SAME) == said
    assert "n = 90 test pictures in 30 groups (q = " in found.lines[0]
    null = {"q025": -0.1, "q975": 0.1}
    of_both = common | {
        "languages": ["en", "ar"],
        "method": "pearson",
        "family": "live",
        "features": 50,
        "images": 90,
        "groups": 45,
    }
    of_both |= {
        "r": 0.5,
        "low": 0.3,
        "high": 0.6,
        "disattenuated": 0.6,
        "null": {"pairing": null, "labels": null},
    }
    found = cross_lingual.finding([of_both], StandIn({"words": words}))
    assert found.kind == "found" and found.lines.count(READ_ALL_THE_SAME) == said
    assert "over n = 50 features live in both and 90 pictures in 45 groups" in found.lines[0]
    weak = of_both | {"r": 0.05}
    assert READ_ALL_THE_SAME not in cross_lingual.finding([weak], StandIn({"words": words})).lines
