"""The tuned lens finds a map that is there, and is never further from the model than the logit lens."""

import numpy as np
import pytest
import torch

from crosslens.lens.tuned import divergences, fit

D, VOCABULARY, N = 8, 40, 500


def head(seed: int = 0):
    """A norm and an unembedding."""
    unembed = torch.randn(VOCABULARY, D, generator=torch.Generator().manual_seed(seed))
    return lambda h: (h / (h.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt()) @ unembed.T


def mean_bits(translators, lens, residual):
    return [float(of.mean()) for of in divergences(head(), translators, lens, residual)]


def test_a_planted_affine_map_is_found_and_the_identity_kept():
    generator = torch.Generator().manual_seed(1)
    last = torch.randn(2 * N, D, generator=generator)
    turn = torch.linalg.qr(torch.randn(D, D, generator=generator))[0] * 3
    shift = torch.randn(D, generator=generator)
    # behind block 0 the last state stands turned, scaled and moved; behind block 1 it is there already
    residual = [(last - shift) @ torch.linalg.inv(turn).T, last.clone(), last]
    train, test = ([of[part] for of in residual] for part in (slice(N), slice(N, None)))
    found = fit(head(), train, epochs=0, seed=0)
    before, after = mean_bits(found, "logit", test), mean_bits(found, "tuned", test)
    assert before[0] > 1 and before[1] == before[2] == after[2] == 0
    assert after[0] < 1e-4 and after[1] < 1e-6
    torch.testing.assert_close(found.weight[0], turn, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(found.bias[0], shift, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(found.weight[1], torch.eye(D))


@pytest.mark.parametrize("tokens", [D - 1, 300])
def test_it_is_never_worse_than_the_logit_lens_on_what_it_was_fitted_on(tokens):
    """Also of fewer tokens than channels, and where nothing of the answer is there yet."""
    generator = torch.Generator().manual_seed(2)
    last = torch.randn(tokens, D, generator=generator)
    bent = torch.sin(3 * last) + 0.3 * torch.randn(tokens, D, generator=generator)
    noise = 50 * torch.randn(tokens, D, generator=generator)
    residual = [noise, bent, last]
    kept, tuned = fit(head(), residual, epochs=0, seed=0), fit(head(), residual, epochs=20, seed=0)
    logit = mean_bits(tuned, "logit", residual)
    started, ended = (mean_bits(of, "tuned", residual) for of in (kept, tuned))
    for layer in range(2):
        assert ended[layer] <= started[layer] + 1e-6 <= logit[layer] + 2e-6
        assert ended[layer] < started[layer], "steps better it"
    assert np.isfinite(ended).all()
    again = fit(head(), residual, epochs=20, seed=0)
    assert torch.equal(again.weight, tuned.weight)
