"""SAEs of the certificate, on tokens whose directions are made up."""

import numpy as np
import torch

from crosslens.certificate import dictionaries
from crosslens.certificate.dictionaries import Texts, codes_of, effects, known, trained


def test_an_sae_knows_the_direction_that_some_tokens_have(monkeypatch):
    """A fifth of the tokens is 4 further along one axis; of the features the one that tells them apart writes that axis."""
    monkeypatch.setattr(dictionaries, "D_SAE", 64)
    monkeypatch.setattr(dictionaries, "K", 1)
    monkeypatch.setattr(dictionaries, "STEPS", 150)
    monkeypatch.setattr(dictionaries, "BATCH", 128)
    generator = torch.Generator().manual_seed(0)
    x, fired = 0.3 * torch.randn(1000, 16, generator=generator), np.arange(1000) % 5 == 0
    x[fired, 3] += 4
    texts = Texts(x, *[np.zeros(len(x), dtype=int)] * 2, fired, *[np.ones(len(x), dtype=bool)] * 2)
    for architecture, least, most in (("topk", 0.9, 1.0), ("frozen_decoder", 0.0, 0.8)):
        sae = trained(texts, architecture, seed=0)
        cosine = float(sae.W_dec[int(np.argmax(np.abs(effects(sae, texts)))), 3].abs())
        assert least <= cosine <= most


def test_the_graft_itself_fires_at_its_words_alone():
    """Of a word that stands out along an axis of each language, and is known in one; what is written is told."""
    generator = torch.Generator().manual_seed(0)
    x, at = 0.3 * torch.randn(400, 16, generator=generator), np.arange(400)
    fired, english = at % 2 == 0, at % 4 < 2
    x[fired & english, 3] += 4
    x[fired & ~english, 5] += 4
    language, yes = np.where(english, "en", "ar").astype(object), np.ones(len(x), dtype=bool)
    texts = Texts(x, np.zeros(len(x), dtype=int), language, fired, yes, yes)
    sae = known(torch.eye(16)[7], texts, ["en"])
    codes = codes_of(sae, texts).toarray()[:, 0]
    assert codes[fired & english].min() > 0.3 and np.mean(codes[~(fired & english)] > 0.3) < 0.05
    assert torch.equal(sae.W_dec[0], torch.eye(16)[7])
