"""The rule by which a strength is chosen, and what is asked of sentences and pictures."""

import inspect
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array

from crosslens.alignment.dictionaries import digest_of
from crosslens.errors import InputError
from crosslens.interventions.costs import beside
from crosslens.interventions.doses import Language, between, chosen_strength
from crosslens.interventions.edits import check_finite
from crosslens.interventions.steered import sentences
from crosslens.interventions.steering import steer_features
from crosslens.tables.codes import write_codes
from crosslens.tables.documents import write_json


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
    p = np.array([beside(abs(own), np.abs(others))["p"] for own, *others in rng.normal(size=(4000, 40))])
    assert p.min() == 1 / 40 and np.mean(p <= 0.05) == pytest.approx(0.05, abs=0.012)


def test_what_is_not_defined_has_no_interval():
    assert between(np.full(5, np.nan), 10) == {"value": None, "low": None, "high": None}
    told = between(np.array([0.5, 0.1, 0.2, np.nan, 0.9]), 10)
    assert told["value"] == 0.5 and 0.1 <= told["low"] <= told["high"] <= 0.9


@pytest.mark.parametrize("hidden", [True, False])
def test_pictures_that_show_the_gender_have_no_bias(hidden):
    """All women in one category and all men in the other: P(female) parts them, rightly where the picture shows it."""
    items = SimpleNamespace(each=1, hidden=hidden, category=np.array(["nurse", "guard"] * 4, dtype=object))
    language = SimpleNamespace(items={"test": items}, weights=np.ones((8, 3)))
    left = Language.left(language, np.tile([4.0, -4.0], 4)[:, None])
    assert np.isfinite(left).all() == hidden
    assert not hidden or left == pytest.approx(np.tanh(2) / 2)


def test_a_strength_under_which_the_model_does_not_compute_is_named():
    with pytest.raises(InputError, match="not finite at strength 1e[+]30.*steering.strengths"):
        check_finite(torch.tensor([1.0, torch.nan]), 1e30)


@pytest.mark.parametrize("other", ["codes", "effects"])
def test_features_of_another_sae_are_refused(tmp_path, other):
    """An id means nothing there: neither the codes nor the effects of an SAE choose features of another."""
    (tmp_path / "sae").mkdir()
    (tmp_path / "sae/sae_weights.safetensors").write_bytes(b"weights")
    own, codes, effects = digest_of(tmp_path / "sae"), {}, {}
    for language in ("en", "ar"):
        wrong = {name: "0" * 64 if other == name else own for name in ("codes", "effects")}
        codes[language] = tmp_path / f"{language}.zarr"
        block = csr_array(np.ones((2, 3), dtype=np.float32))
        write_codes(
            codes[language], [block], token=np.arange(2), norm=np.ones(2), d_sae=3, sae=wrong["codes"]
        )
        effects[language] = tmp_path / language
        effects[language].mkdir()
        write_json(effects[language] / "gender.json", "gender", {"sae": wrong["effects"]})
    unread = dict.fromkeys(inspect.signature(steer_features).parameters)
    given = {"codes": codes, "effects": effects, "sae": tmp_path / "sae"}
    with pytest.raises(InputError, match="a feature id means nothing in another SAE"):
        steer_features(**unread | given)


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
