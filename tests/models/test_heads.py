"""Heads as matrices, against what the real classes compute: what a head writes, and what it attends to."""

import copy

import pytest
import torch
from tiny_families import TEXT_FAMILIES, VISION_FAMILIES

from crosslens.models.hooks import capture

LAYERS = (0, 1)


@pytest.fixture(scope="module")
def plain(load_family):
    """Family → a copy without biases and caps, which no matrix holds, and its adapter."""
    made = {}

    def of(name):
        if name not in made:
            loaded = load_family(name)
            model = copy.deepcopy(loaded.model)
            for part, parameter in model.named_parameters():
                if part.endswith("bias"):
                    parameter.data.zero_()
            adapter = type(loaded.adapter)(model, loaded.processor, loaded.tokenizer)
            made[name] = type(loaded)(
                loaded.id, model, loaded.processor, loaded.tokenizer, adapter, loaded.device
            )
        return made[name]

    return of


def normed(x: torch.Tensor, centred: bool) -> torch.Tensor:
    x = x - x.mean(dim=-1, keepdim=True) if centred else x
    return x / (x.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt()


@pytest.mark.parametrize("name", [*TEXT_FAMILIES, *VISION_FAMILIES])
def test_heads_write_and_compare_what_the_model_does(plain, name):
    loaded = plain(name)
    adapter, ids = loaded.adapter, torch.tensor([[9, 17, 30, 21, 40, 12]])
    layers = [layer for layer in LAYERS if not hasattr(adapter.blocks[layer], "cross_attn")]
    assert all(adapter.heads(adapter.blocks[layer]) is None for layer in set(LAYERS) - set(layers))
    sites = [f"{layer}.{kind}" for layer in layers for kind in ("resid_pre", "attn_out")]
    rms: dict[tuple, torch.Tensor] = {}
    handles = []
    for layer in layers:
        attention = getattr(adapter.blocks[layer], "self_attn", None)
        if getattr(attention, "attn_logit_softcapping", None):
            attention.attn_logit_softcapping = None
        for part in ("q", "k"):
            if (norm := getattr(attention, f"{part}_norm", None)) is not None:
                handles.append(
                    norm.register_forward_hook(
                        lambda module, args, out, at=(layer, part): rms.__setitem__(
                            at, args[0][0].square().mean(dim=-1).sqrt()
                        )
                    )
                )
    # rotary embeddings of position 0 turn nothing
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "position_ids": torch.zeros_like(ids)}
    if adapter.is_vision:
        inputs |= {"token_type_ids": torch.zeros_like(ids)} if "gemma" in name else {}
    with capture(loaded, sites) as values, torch.inference_mode():
        patterns = loaded.model(**inputs, use_cache=False, output_attentions=True).attentions
    for handle in handles:
        handle.remove()
    centred = "gpt" in name or "pythia" in name or "neox" in name
    # blocks that attend to a picture do not run without one, and have no pattern
    for layer, pattern in zip(layers, patterns, strict=False):
        block = adapter.blocks[layer]
        heads = adapter.heads(block)
        x, pattern = normed(values[f"{layer}.resid_pre"][0], centred), pattern[0]
        wrote = sum(pattern[h] @ x @ heads.v[heads.kv(h)] @ heads.o[h] for h in range(len(heads.q)))
        likeness = torch.cosine_similarity(wrote, values[f"{layer}.attn_out"][0], dim=-1)
        assert likeness.min() > 0.9999, name
        if "gemma" not in name:
            torch.testing.assert_close(wrote, values[f"{layer}.attn_out"][0], rtol=1e-3, atol=1e-4)
        attention = getattr(block, "self_attn", None) or getattr(block, "attn", None) or block.attention
        for h in range(len(heads.q)):
            scores = x @ heads.q[h] @ heads.k[heads.kv(h)].T @ x.T
            if (layer, "q") in rms:
                q, k = (rms[layer, part] for part in "qk")
                q, k = (r if r.shape[0] == len(x) else r.T for r in (q, k))
                scores = scores / q[:, [h]] / k[:, heads.kv(h)]
            last = pattern[h, -1].log() - pattern[h, -1, 0].log()
            scaled = attention.scaling * (scores[-1] - scores[-1, 0])
            torch.testing.assert_close(scaled, last, rtol=1e-3, atol=1e-3)


def test_a_family_that_does_not_say_has_none(load_family):
    from crosslens.models.adapters import Adapter

    loaded = load_family(next(iter(TEXT_FAMILIES)))
    assert Adapter(loaded.model, None, None).heads(loaded.adapter.blocks[0]) is None
