"""Logits in float32 of a model that computes in less."""

import pytest
import torch
from tiny_families import TEXT_FAMILIES, VISION_FAMILIES

from crosslens.models.head import Head


@pytest.mark.parametrize("name", [*TEXT_FAMILIES, *VISION_FAMILIES])
def test_the_head_of_a_bfloat16_model_is_that_of_its_weights_in_float32(load_family, name):
    loaded = load_family(name)
    residual = torch.randn(5, loaded.d_model, generator=torch.Generator().manual_seed(0))
    loaded.model.to(torch.bfloat16)
    try:
        with torch.inference_mode():
            head = Head(loaded)
            found, rounded = head(residual), loaded.adapter.logits(residual.bfloat16())
            loaded.model.float()
            exact = loaded.adapter.logits(residual)
    finally:
        loaded.model.float()
    assert found.dtype == torch.float32 and torch.equal(found, exact)
    assert not torch.allclose(rounded.float(), exact, atol=1e-6)
    assert Head(loaded).unembed is loaded.adapter.unembed
