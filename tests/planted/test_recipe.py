"""The recipe in miniature: runs, stores what loads again, and gives the same bits twice."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from crosslens.planted.card import WEIGHTS
from crosslens.planted.model import build_model, load
from crosslens.planted.recipe import Recipe, train
from crosslens.planted.tokenizer import build_tokenizer

TINY = Recipe(threads=1, scenes=12, vision_steps=2, vision_batch=4, steps=2, batch=2, captions=1)


@pytest.fixture(autouse=True)
def _restore_torch_settings():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def test_two_steps_are_bit_reproducible(tmp_path: Path) -> None:
    results = [train(TINY, tmp_path / name) for name in ("first", "second")]
    assert results[0]["final_caption_loss"] == results[1]["final_caption_loss"]
    first, second = ((tmp_path / name / WEIGHTS).read_bytes() for name in ("first", "second"))
    assert first == second
    assert all(tensor.dtype == torch.float16 for tensor in load_file(tmp_path / "first" / WEIGHTS).values())
    processor, model = load(tmp_path / "first")
    assert model.dtype == torch.float32 and processor.image_seq_length == 16


def test_seed_decides_the_initialisation_and_the_projector_is_not_zero() -> None:
    tokenizer = build_tokenizer()
    zero, again, one = (build_model(tokenizer, seed) for seed in (0, 0, 1))
    name = "model.multi_modal_projector.mm_input_projection_weight"
    weights = [dict(m.named_parameters())[name] for m in (zero, again, one)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert abs(weights[0].std().item() - 96**-0.5) < 0.01
    types = zero.config.text_config.layer_types
    assert [i for i, kind in enumerate(types) if kind == "full_attention"] == [5]
