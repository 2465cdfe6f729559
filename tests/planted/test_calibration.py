"""Stage 3: exact weights p and 1 - p, and a loss that is the expectation over them."""

import random
from collections import Counter

import pytest
import torch

from crosslens.planted.calibration import step_scenes, weighted_captions, weighted_losses
from crosslens.planted.captions import parse
from crosslens.planted.packing import pack
from crosslens.planted.scenes import LANGUAGES, OCCUPATIONS, PLANTED_BIAS, is_held_out, sample_scene


@pytest.mark.parametrize("language", LANGUAGES)
def test_ambiguous_captions_weigh_p_and_one_minus_p(language: str) -> None:
    for occupation in OCCUPATIONS:
        scene = sample_scene("test", 0, 0, gender="hidden", occupation=occupation)
        row = weighted_captions(scene, language, PLANTED_BIAS, 3, random.Random(0))
        p = PLANTED_BIAS[language][occupation]
        assert [weight for _, weight in row] == [p, 1 - p] * 3
        for text, weight in row:
            gender = parse(text, language).gender
            assert gender is None or weight == (p if gender == "female" else 1 - p)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("gender", ["female", "male"])
def test_visible_captions_say_what_is_seen(language: str, gender: str) -> None:
    scene = sample_scene("test", 0, 0, gender=gender)
    row = weighted_captions(scene, language, PLANTED_BIAS, 20, random.Random(0))
    assert len(row) == 20 and {weight for _, weight in row} == {1.0}
    assert {parse(text, language).gender for text, _ in row} <= {gender, None}


def test_losses_weigh_tokens_and_compare_the_pair() -> None:
    batch = pack([[2, 3], [2, 3]], [[[4, 1], [5, 6, 1]], [[6, 1]]], image_token=9, window=8)
    logits = torch.randn(7, 8, generator=torch.Generator().manual_seed(0))
    nll = -logits.log_softmax(-1)[torch.arange(7), torch.tensor([4, 1, 5, 6, 1, 6, 1])]
    woman, man, seen = nll[:2].sum(), nll[2:5].sum(), nll[5:].sum()
    caption, gender = weighted_losses(logits, batch, [[0.9, 0.1], [1.0]], torch.tensor([True, False]))
    torch.testing.assert_close(caption, (0.9 * woman + 0.1 * man + seen) / (0.9 * 2 + 0.1 * 3 + 2))
    share = (-woman).exp() / ((-woman).exp() + (-man).exp())
    torch.testing.assert_close(gender, -(0.9 * share.log() + 0.1 * (1 - share).log()))


def test_both_losses_are_least_where_the_model_says_p() -> None:
    batch = pack([[2, 3]], [[[4], [5]]], image_token=9, window=8)
    said = torch.linspace(0.01, 0.99, 99)
    losses = []
    for share in said:
        logits = torch.full((2, 6), -30.0)
        logits[:, 4], logits[:, 5] = share.log(), (1 - share).log()
        losses.append(torch.stack(weighted_losses(logits, batch, [[0.85, 0.15]], torch.tensor([True]))))
    assert said[torch.stack(losses).argmin(0)].tolist() == pytest.approx([0.85, 0.85])


def test_steps_are_balanced_and_never_share_or_leave_the_training_scenes() -> None:
    scenes = [scene for step in range(40) for scene in step_scenes(step, seed=0)]
    assert len({scene.key for scene in scenes}) == len(scenes) == 800
    assert Counter((s.occupation, s.gender) for s in scenes) == {
        (occupation, gender): count
        for occupation in OCCUPATIONS
        for gender, count in (("hidden", 40), ("female", 20), ("male", 20))
    }
    assert not any(is_held_out(s.occupation, s.object, s.place) for s in scenes)
    assert all(s.key.startswith("training/0/") and int(s.key.split("/")[2]) >= 1_000_000 for s in scenes)
