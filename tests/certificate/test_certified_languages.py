"""What methods call a feature, on captions whose features are made up: nothing is learned, so what is right is known."""

import numpy as np
import pytest
import torch

from crosslens.certificate.dictionaries import Texts, carrier
from crosslens.certificate.languages import of_category, of_joint, of_nothing, of_two, paired
from crosslens.sae.model import ReLUSAE

WIDTH, PICTURES = 8, 24
WORD, ENGLISH, ARABIC, PICTURED = range(4)
"""Axes: of the set's words, of each language's captions, and of what is in a picture."""


def axis(number):
    return torch.eye(WIDTH)[number]


def captions(languages):
    """Of each picture a caption of four tokens in each language, whose last is the word, and strong enough to be above the
    median of what fires; every other picture has one of the set, which `languages` know."""
    rng, rows, about = np.random.default_rng(0), [], []
    for case in range(PICTURES):
        seen = rng.uniform(1, 3)
        for language, own in (("en", ENGLISH), ("ar", ARABIC)):
            fired = case % 2 == 0
            for token in range(4):
                x = 0.05 * torch.from_numpy(rng.standard_normal(WIDTH)).float()
                x += 2 * axis(own) + seen * (token == 1) * axis(PICTURED)
                x += 9.0 * (token == 3 and fired and language in languages) * axis(WORD)
                rows.append(x)
                about.append((case, language, fired, True, token == 3))
    columns = (np.array(of, dtype=object) for of in zip(*about, strict=True))
    types = (np.int64, object, bool, bool, bool)
    return Texts(torch.stack(rows), *(of.astype(to) for of, to in zip(columns, types, strict=True)))


@pytest.fixture(scope="module")
def sae():
    """A feature an axis."""
    of = ReLUSAE(WIDTH, WIDTH)
    of.W_enc.copy_(torch.eye(WIDTH)), of.W_dec.copy_(torch.eye(WIDTH)), of.b_enc.fill_(-0.4)
    return of


BOTH = ("en", "ar")


@pytest.mark.parametrize("languages", [BOTH, ("en",), ("ar",)])
def test_sharing_and_selectivity_call_a_feature_what_it_is(sae, languages):
    texts = captions(languages)
    assert carrier(sae, texts, axis(WORD)) == WORD
    found = {call.method: call for call in of_joint("topk", sae, texts, axis(WORD), languages, 0)}
    shared = languages == BOTH
    assert found["sharing"].claimed == shared and found["selectivity"].claimed == (not shared)
    assert np.isnan(found["nu"].claimed)
    if shared:
        assert found["sharing"].score > 0.95 and found["selectivity"].score == 0
        assert abs(found["nu"].score) < 0.05
    else:
        assert found["sharing"].score == 0 and found["selectivity"].score == -1
        # 8.6 on one token in four of every other caption
        assert found["nu"].score == pytest.approx(-8.6 / 8, abs=0.05)


def test_pairs_shuffled_share_nothing_and_exchanged_languages_own_nothing(sae):
    """Before: word and picture are shared, and each language has a feature of its own."""
    calls = {call.method: call.claimed for call in of_nothing("topk", sae, captions(BOTH), 0)}
    assert calls == {"sharing": 0, "selectivity": 0}


@pytest.mark.parametrize("languages", [BOTH, ("en",), ("ar",)])
def test_two_saes_pair_what_both_know(sae, languages):
    """Each SAE has the features that its texts let it have, in an order of its own."""
    saes = {}
    for language, order in zip(BOTH, ([0, 1, 3], [3, 2, 0]), strict=True):
        rows = torch.eye(WIDTH)[order]
        if language not in languages:
            rows[order.index(WORD)] = axis(7)
        saes[language] = ReLUSAE(WIDTH, len(rows))
        saes[language].W_enc.copy_(rows.T), saes[language].W_dec.copy_(rows)
    call = of_two("topk", saes, captions(languages), axis(WORD), languages, 0)
    assert call.claimed == (languages == BOTH)
    assert (call.score > 0.99) == (languages == BOTH)
    assert of_two("topk", saes, captions(languages), axis(WORD), languages, 0, nothing=True).claimed == 0


def test_the_set_of_words_has_a_specialist_and_drawn_categories_have_none(sae):
    texts = captions(BOTH)
    assert np.array_equal(paired(texts).case, texts.case)
    call, feature = of_category("topk", sae, texts, texts, BOTH, 0)
    assert (call.claimed, feature) == (1, WORD)
    claimed = [
        of_category("topk", sae, texts, texts, BOTH, seed, nothing=True)[0].claimed for seed in range(4)
    ]
    assert sum(claimed) <= 1
