"""Attention patterns of every family are transformers' own, and head scores what they are by hand."""

import pytest
import torch

from crosslens.errors import InputError
from crosslens.lens.patterns import (
    SCORES,
    attentive,
    induction,
    own_pattern,
    queries,
    rows_of,
    scores,
    watching,
)
from crosslens.models.inputs import build_inputs
from crosslens.models.load import load_model
from crosslens.tables.roles import BOS, CAPTION, IMAGE, PROMPT


def test_patterns_of_a_padded_batch_are_transformers_own_of_each_sample_alone(family, samples_of, pictures):
    loaded, samples = family, samples_of(family)
    together: dict[int, torch.Tensor] = {}
    batch = build_inputs(loaded, samples, images=pictures, with_caption=True)
    with torch.inference_mode(), watching(loaded, lambda layer, weights: together.update({layer: weights})):
        loaded.model(**batch.inputs, use_cache=False)
    assert [*together] == attentive(loaded)
    heads = loaded.adapter.text_config.num_attention_heads
    for row in (0, 2):
        alone = build_inputs(loaded, samples[row : row + 1], images=pictures, with_caption=True)
        with torch.inference_mode():
            told = loaded.model(**alone.inputs, use_cache=False, output_attentions=True).attentions
        length = alone.role.shape[1]
        # blocks that attend to a picture have patterns of another shape
        told = [of for of in told if of is not None and of.shape[-1] == length]
        assert len(told) == len(together)
        for layer, expected in zip(together, told, strict=True):
            found = own_pattern(together[layer], row, rows_of(batch)[row])
            assert found.shape == (heads, length, length)
            torch.testing.assert_close(found, expected[0].float(), rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(found.sum(dim=-1), torch.ones(heads, length), rtol=1e-4, atol=1e-4)


def test_attention_without_weights_is_refused(text_model, samples_of):
    loaded = load_model(text_model.id, device="cpu", attention="sdpa")
    batch = build_inputs(loaded, samples_of(loaded), images=None, with_caption=True)
    with pytest.raises(InputError, match="eager"), watching(loaded, lambda layer, weights: None):
        loaded.model(**batch.inputs, use_cache=False)


def test_scores_by_hand():
    """Four tokens, the first an image token behind BOS: queries are the last two."""
    role = torch.tensor([BOS, IMAGE, PROMPT, CAPTION], dtype=torch.uint8)
    pattern = torch.zeros(1, 4, 4)
    pattern[0, 2] = torch.tensor([0.5, 0.25, 0.25, 0.0])
    pattern[0, 3] = torch.tensor([0.0, 0.0, 1.0, 0.0])
    assert queries(role).tolist() == [False, False, True, True]
    found = dict(zip(SCORES, scores(pattern, role)[:, 0].tolist(), strict=True))
    assert found == {
        "itself": pytest.approx(0.125),
        "previous": pytest.approx((0.25 + 1) / 2),
        "first": pytest.approx(0.25),
        "image": pytest.approx(0.125),
        "entropy": pytest.approx((1.5 + 0) / 2),
        "distance": pytest.approx((2 * 0.5 + 0.25 + 1) / 2),
    }
    without = scores(pattern, torch.tensor([BOS, PROMPT, PROMPT, CAPTION], dtype=torch.uint8))
    assert bool(without[SCORES.index("image"), 0].isnan())


def test_a_head_that_copies_what_came_next_is_an_induction_head():
    length, start = 5, 1
    perfect = torch.zeros(2, start + 2 * length, start + 2 * length)
    for query in range(start + length, start + 2 * length):
        perfect[0, query, query - length + 1] = 1
        perfect[1, query, query - length] = 1
    # the last of the second saying looks at the first of its own saying
    assert induction(perfect, length).tolist() == [1, 0]
