"""Lenses in every family: at the last block they are the model, before it what transformers' own hidden states give."""

import numpy as np
import pytest
import torch

from crosslens.lens.jacobian import FIRST, directions
from crosslens.lens.lenses import LENSES, Reader, Translators
from crosslens.lens.odds import batched, gradients, log_odds, parted, told_of
from crosslens.lens.places import GenderPlace
from crosslens.models.head import Head
from crosslens.models.hooks import edit
from crosslens.models.inputs import collate, load_images


def places(samples):
    """Each sample up to its third word, and two words that may follow."""
    found = []
    for number, sample in enumerate(samples):
        start = " ".join(sample.caption.split()[:2])
        before = sample._replace(caption=f"{start} ")
        found.append(GenderPlace(f"g{number}", "test", "unknown", "", before, "red book", "green scarf"))
    return found


def translators(loaded) -> Translators:
    """Maps that are none."""
    layers, d = loaded.n_layers - 1, loaded.d_model
    return Translators(torch.eye(d).expand(layers, d, d).clone(), torch.zeros(layers, d))


def test_the_last_block_is_the_model_and_the_others_its_hidden_states(family, samples_of, pictures):
    loaded, samples = family, samples_of(family)
    told = told_of(loaded, places(samples), pictures)
    # of different lengths in one batch: padded on the left, pictures among them
    found = log_odds(
        loaded, Reader(Head(loaded), translators(loaded)), told, images=pictures, batch=len(told)
    )
    assert found.shape == (len(samples), len(LENSES), loaded.n_layers)
    for row, one in enumerate(told[:2]):
        expected = np.zeros((loaded.n_layers, 2))
        for i, text in enumerate(one.texts):
            inputs = collate(loaded, [text.tokens], load_images(loaded, [one.contrast.sample], pictures))
            with torch.inference_mode():
                output = loaded.model(**inputs.inputs, use_cache=False, output_hidden_states=True)
                logits = [
                    *(loaded.adapter.logits(state) for state in output.hidden_states[1 : loaded.n_layers]),
                    output.logits,
                ]
            for layer, of in enumerate(logits):
                log_p = of[0].double().log_softmax(-1)
                where = range(text.start, text.stop)
                expected[layer, i] = sum(float(log_p[at - 1, text.tokens.token_id[at]]) for at in where)
        assert not any(text.word_end for text in one.texts)
        difference = expected[:, 0] - expected[:, 1]
        np.testing.assert_allclose(found[row, 0], difference, rtol=1e-4, atol=2e-4)
        np.testing.assert_allclose(found[row, 1], difference, rtol=1e-4, atol=2e-4)


def test_a_row_of_the_jacobian_lens_is_the_slope_of_the_models_own_answer(text_model, samples_of):
    """Pushed a little at one position of one block, the logit difference moves as the gradient says."""
    loaded = text_model
    reader = Reader(Head(loaded), translators(loaded))
    contrasts = [one.contrast for one in told_of(loaded, places(samples_of(loaded))[:1], None)]
    ((_, chosen, inputs),) = batched(loaded, contrasts, images=None, batch=4)
    found, streams, value = gradients(loaded, reader, chosen, inputs)
    with torch.inference_mode():
        logits = loaded.model(**inputs.inputs, use_cache=False).logits[:, -1]
    torch.testing.assert_close(value, parted(logits.float(), chosen))
    push = torch.randn(loaded.d_model, generator=torch.Generator().manual_seed(1))
    for layer, position in ((0, -1), (1, -3), (2, 5), (3, -1), (3, -2)):
        step = 2e-3 * float(streams[layer][0, position].norm() / push.norm())

        def answer(by: float, layer=layer, position=position) -> float:
            def pushed(state):
                state = state.clone()
                state[0, position] += by * push
                return state

            with torch.inference_mode(), edit(loaded, str(layer), pushed):
                return float(parted(loaded.model(**inputs.inputs, use_cache=False).logits[:, -1], chosen))

        slope = (answer(step) - answer(-step)) / (2 * step)
        said = float(found[layer][0, position] @ push)
        assert slope == pytest.approx(said, rel=0.02, abs=2e-3), (layer, position)
    # behind the last block no other position counts
    assert not found[3][0, :-1].any() and found[3][0, -1].any()
    rows = directions(loaded, reader, contrasts, images=None, batch=4)
    sources = [
        at
        for at in range(inputs.role.shape[1])
        if at == inputs.role.shape[1] - 1
        or (at >= FIRST and bool(inputs.has_role(["prompt", "caption"])[0, at]))
    ]
    torch.testing.assert_close(rows.rows[1], found[1][0, sources].mean(dim=0))
    assert rows.sources == len(sources) < inputs.role.shape[1] - FIRST
    # at the end the logit lens' own gradient is the model's
    torch.testing.assert_close(rows.read["logit"][3], found[3][0, -1])
