"""Tokens that decoder rows promote: what the whole model of every family answers where such a row is its last residual."""

import numpy as np
import pytest
import torch
from tiny_families import TEXT_FAMILIES

from crosslens.features import promote
from crosslens.features.promote import added_logits, tables
from crosslens.models.head import Head
from crosslens.models.vocabulary import known_ids, token_text


def answered(loaded, residual):
    """(n, vocabulary) float64: logits of transformers' own forward pass, `residual` (n, d) for that of the last block."""

    def replace(module, args, output):
        return residual[:, None] if torch.is_tensor(output) else (residual[:, None], *output[1:])

    hook = loaded.adapter.blocks[-1].register_forward_hook(replace)
    try:
        ids = torch.full((len(residual), 1), 3)
        with torch.inference_mode():
            logits = loaded.model(input_ids=ids, use_cache=False).logits[:, 0].double()
    finally:
        hook.remove()
    cap = loaded.adapter.logit_softcap
    return cap * torch.atanh(logits / cap) if cap else logits


@pytest.mark.parametrize("name", TEXT_FAMILIES)
def test_a_row_adds_what_the_model_itself_answers_to_it(load_family, name):
    loaded = load_family(name)
    rows = torch.randn(4, loaded.d_model, generator=torch.Generator().manual_seed(1))
    scaled = rows / rows.norm(dim=1, keepdim=True) * loaded.d_model**0.5
    expected = answered(loaded, scaled) - answered(loaded, torch.zeros_like(scaled))
    with torch.inference_mode():
        found, longer = (added_logits(Head(loaded), some) for some in (rows, 1000 * rows))
    assert found.dtype == torch.float32
    assert torch.allclose(found.double(), expected, atol=1e-4 * float(expected.abs().max()))
    assert torch.allclose(found, longer, rtol=1e-4, atol=1e-5)


def test_tables_are_the_largest_and_smallest_of_what_can_be_named(monkeypatch, load_family):
    loaded = load_family("gemma3" if "gemma3" in TEXT_FAMILIES else next(iter(TEXT_FAMILIES)))
    head = Head(loaded)
    rows = torch.randn(9, loaded.d_model, generator=torch.Generator().manual_seed(2))
    rows[4] = 0
    with torch.inference_mode():
        logits = added_logits(head, rows).numpy()
        vocabulary = logits.shape[1]
        known = torch.arange(vocabulary)[::2]
        whole = promote.pd.concat(list(tables(head, rows, known, vocabulary)))
        monkeypatch.setattr(promote, "LOGITS", 2 * vocabulary)
        blocks = promote.pd.concat(list(tables(head, rows, known, vocabulary)))
    order = ["feature", "side", "rank"]
    whole, blocks = (table.sort_values(order).reset_index(drop=True) for table in (whole, blocks))
    assert whole.drop(columns="logit").equals(blocks.drop(columns="logit"))
    assert np.allclose(whole["logit"], blocks["logit"], atol=1e-5)
    assert set(whole["feature"]) == {*range(9)} - {4}
    for (feature, side), of in whole.groupby(["feature", "side"]):
        sign = -1 if side == "promoted" else 1
        best = known.numpy()[np.argsort(sign * logits[feature, ::2], kind="stable")][: promote.COUNT]
        assert of["token_id"].tolist() == best.tolist() and of["rank"].tolist() == [*range(1, len(best) + 1)]
        assert np.allclose(of["logit"], logits[feature, best], atol=1e-5)


def test_rows_without_a_token_are_no_tokens_and_halves_of_characters_no_text(load_family):
    tokenizer = load_family(next(iter(TEXT_FAMILIES))).tokenizer
    ids = sorted(set(tokenizer.get_vocab().values()))
    assert known_ids(tokenizer, max(ids) + 7).tolist() == ids
    assert known_ids(tokenizer, 5).tolist() == [id for id in ids if id < 5]
    for piece in tokenizer.convert_ids_to_tokens(ids):
        text = token_text(tokenizer, piece)
        assert text and "\ufffd" not in text, piece
