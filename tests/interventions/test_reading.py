"""Texts read under edits: what is not run again makes no difference, and the log-odds are those of the model."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from crosslens.errors import InputError
from crosslens.gender.agreement import Place, log_odds
from crosslens.generation.continuation import encode_samples
from crosslens.interventions.edits import Edit, Rows, editing, of_direction
from crosslens.interventions.reading import Damage, Passage, Question, Questions, Reading, check_identity
from crosslens.models.inputs import Sample, as_sample, build_inputs
from crosslens.models.load import load_model
from crosslens.tables.documents import read_table

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
import tiny

ROLES = ["prompt", "caption"]
QUESTIONS = [
    Question("a", "Describe the picture.", "A ", "woman", "nurse"),
    Question("b", "Describe the picture.", "In the street stands a ", "doctor", "doctors"),
    Question("c", "صف الصورة.", "تقف ", "طبيبة", "طبيب"),
]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return load_model(id=str(tiny.save_tiny_text(tmp_path_factory.mktemp("reading") / "text")), device="cpu")


@pytest.fixture(scope="module")
def pictured(tmp_path_factory):
    """A vision-language model, samples with pictures, and where these are."""
    root = tmp_path_factory.mktemp("reading_vlm")
    loaded = load_model(id=str(tiny.save_tiny_vlm(root / "model")), device="cpu")
    dataset, images = tiny.save_dataset(root, "en", 4)
    return loaded, [as_sample(row) for row in read_table(dataset, "dataset").to_dict("records")], images


def reading_of(loaded, samples, images, site="2"):
    encoded = encode_samples(loaded, samples, images=images)
    passages = [
        Passage(sample, tokens, np.arange(len(tokens) - 3, len(tokens)))
        for sample, tokens in zip(samples, encoded, strict=True)
    ]
    return Reading(loaded, site, passages, roles=ROLES, images=images, batch=3)


@pytest.mark.parametrize("site", ["0", "2", "2.mlp_out", "2.resid_pre"])
def test_running_on_from_the_site_gives_every_bit_of_the_whole_pass(pictured, site):
    loaded, samples, images = pictured
    reading = reading_of(loaded, samples, images, site)
    edits = [
        Edit(site, of_direction(torch.randn(loaded.d_model, generator=torch.Generator().manual_seed(0))))
    ]
    plain = reading.states(resume=False)
    assert all(torch.equal(*pair) for pair in zip(plain, reading.states(), strict=True))
    whole = reading.states(edits, 2.0, resume=False)
    assert all(torch.equal(*pair) for pair in zip(whole, reading.states(edits, 2.0), strict=True))
    assert not torch.equal(whole[0], plain[0])


def test_a_strength_under_which_a_model_does_not_compute_is_told(text):
    """Beyond what float32 holds: the next norm makes NaN of it, which no log-odds and no cost may swallow."""
    edits = [Edit("2", of_direction(torch.ones(text.d_model)))]
    samples = [Sample("x", "a text of some words", "")]
    damage = Damage(reading_of(text, samples, None))
    questions = Questions(text, "2", QUESTIONS[:1], roles=ROLES, images=None, batch=4)
    for measured in (lambda: damage.kl(edits, 1e39), lambda: questions.log_odds(edits, 1e39)):
        with pytest.raises(InputError, match="not finite at strength .*steering.strengths"):
            measured()
    assert np.isfinite(damage.kl(edits, 1.0)) and np.isfinite(questions.log_odds(edits, 1.0)).all()


def test_blocks_before_the_site_and_the_tower_are_not_run_again(pictured, monkeypatch):
    loaded, samples, images = pictured
    reading = reading_of(loaded, samples, images)
    ran = []
    for number, block in enumerate(loaded.adapter.blocks):
        monkeypatch.setattr(
            type(block.self_attn), "forward", _counting(type(block.self_attn).forward, ran), raising=True
        ) if number == 0 else None
    monkeypatch.setattr(loaded.model.model.vision_tower, "forward", lambda *_, **__: ran.append("tower"))
    reading.states()
    assert "tower" not in ran and {*ran} == {3}


def _counting(forward, ran):
    def counted(self, *args, **kwargs):
        ran.append(self.layer_idx)
        return forward(self, *args, **kwargs)

    return counted


def test_strength_0_is_no_edit_and_an_edit_that_changes_bits_at_0_is_refused(pictured):
    loaded, samples, images = pictured
    reading = reading_of(loaded, samples, images)
    check_identity(reading, [Edit("2", of_direction(torch.ones(loaded.d_model)))])
    with pytest.raises(RuntimeError, match="strength 0"):
        check_identity(reading, [Edit("2", lambda x, strength: torch.ones_like(x))])


def asked(loaded):
    return Questions(loaded, "1", QUESTIONS, roles=ROLES, images=None, batch=2)


def test_log_odds_are_those_of_agreement_with_and_without_an_edit(text):
    """The other way that the product has of computing them, which runs the whole model on every word."""
    places = [Place(*question[1:5]) for question in QUESTIONS]
    expected = [scored.log_odds for scored in log_odds(text, places, batch=4)]
    assert asked(text).log_odds() == pytest.approx(expected, abs=1e-4)
    edits = [Edit("1", of_direction(torch.randn(text.d_model, generator=torch.Generator().manual_seed(1))))]

    def edited(batch):
        return editing(text, edits, Rows(batch.has_role(ROLES), 3.0))

    expected = [scored.log_odds for scored in log_odds(text, places, batch=4, editing=edited)]
    found = asked(text).log_odds(edits, 3.0)
    assert found == pytest.approx(expected, abs=1e-4)
    assert np.abs(found - asked(text).log_odds()).max() > 1e-2


def test_the_gradient_is_the_slope_of_the_mean_log_odds(text):
    questions = asked(text)
    gradient = questions.gradient()
    for seed in range(3):
        direction = torch.randn(text.d_model, generator=torch.Generator().manual_seed(seed))
        up, down = (questions.log_odds([Edit("1", of_direction(direction))], s).mean() for s in (1e-2, -1e-2))
        assert (up - down) / 2e-2 == pytest.approx(float(gradient @ direction.numpy()), rel=2e-2, abs=1e-4)


def test_damage_is_the_mean_divergence_over_all_reads(text):
    samples = [Sample(name, "", "one two three") for name in "ab"] + [Sample("c", "", "four")]
    batch = build_inputs(text, samples, images=None, with_caption=False)
    encoded = encode_samples(text, [Sample(s.sample_id, "x y", s.prompt) for s in samples])
    passages = [
        Passage(sample, tokens, np.arange(1, len(tokens)))
        for sample, tokens in zip(samples, encoded, strict=True)
    ]
    reading = Reading(text, "1", passages, roles=ROLES, images=None, batch=2)
    damage, edits = Damage(reading), [Edit("1", of_direction(torch.ones(text.d_model)))]
    assert batch.role.shape[0] == 3 and damage.kl(edits, 0.0) == 0
    total = count = 0
    for tokens in encoded:
        ids = torch.from_numpy(tokens.token_id.astype(np.int64))[None]
        mask = torch.from_numpy(np.isin(tokens.role, [3, 4]))[None]
        with torch.no_grad():
            clean = text.model(input_ids=ids, use_cache=False).logits.float().log_softmax(-1)[0, 1:]
            with editing(text, edits, Rows(_text_roles(tokens)[None], 2.0)):
                edited = text.model(input_ids=ids, use_cache=False).logits.float().log_softmax(-1)[0, 1:]
        total += float((clean.exp() * (clean - edited)).sum())
        count += len(clean)
        assert mask.shape[1] == len(tokens)
    assert damage.kl(edits, 2.0) == pytest.approx(total / count, rel=1e-3)
    assert total > 0


def _text_roles(tokens):
    from crosslens.tables.roles import CAPTION, PROMPT

    return torch.from_numpy(np.isin(tokens.role, [PROMPT, CAPTION]))
