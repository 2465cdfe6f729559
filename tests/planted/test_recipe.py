"""The recipe in miniature: runs, stores what loads again, and gives the same bits twice."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from crosslens.planted.calibration import Calibration, calibrate
from crosslens.planted.card import WEIGHTS
from crosslens.planted.model import build_model, load, save
from crosslens.planted.recipe import Recipe, train
from crosslens.planted.scenes import PLANTED_BIAS
from crosslens.planted.tokenizer import build_tokenizer

TINY = Recipe(
    threads=1,
    scenes=12,
    vision_steps=2,
    vision_batch=4,
    steps=2,
    batch=2,
    captions=1,
    calibration=Calibration(steps=2, templates=1),
)


@pytest.fixture(autouse=True)
def _restore_torch_settings():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


@pytest.mark.long
def test_two_trainings_give_the_same_bits_and_calibrating_stored_weights_continues_them(
    tmp_path: Path,
) -> None:
    result = train(TINY, tmp_path / "whole")
    again = train(replace(TINY, calibration=Calibration(steps=0)), tmp_path / "stages_1_and_2")
    assert result["final_caption_loss"] == again["final_caption_loss"]
    processor, model = load(tmp_path / "stages_1_and_2")
    assert model.dtype == torch.float32 and processor.image_seq_length == 16
    loss = calibrate(model.train(), processor, TINY.calibration, bias=PLANTED_BIAS, seed=TINY.seed)
    save(model.eval(), processor, tmp_path / "continued")
    assert loss == result["final_calibration_loss"]
    whole, before, continued = (
        (tmp_path / name / WEIGHTS).read_bytes() for name in ("whole", "stages_1_and_2", "continued")
    )
    assert continued == whole != before
    assert all(tensor.dtype == torch.float16 for tensor in load_file(tmp_path / "whole" / WEIGHTS).values())


def test_seed_decides_the_initialisation_and_the_projector_is_not_zero() -> None:
    tokenizer = build_tokenizer()
    zero, again, one = (build_model(tokenizer, seed) for seed in (0, 0, 1))
    name = "model.multi_modal_projector.mm_input_projection_weight"
    weights = [dict(m.named_parameters())[name] for m in (zero, again, one)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert abs(weights[0].std().item() - 96**-0.5) < 0.01
    types = zero.config.text_config.layer_types
    assert [i for i, kind in enumerate(types) if kind == "full_attention"] == [5]
