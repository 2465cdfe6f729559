"""A clamped feature: the change is told against decode(z), by hand, and a feature that writes nothing changes nothing."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from crosslens.errors import InputError
from crosslens.interventions.counterfactual import CHANNELS, Answers, strongest
from crosslens.models.hooks import capture
from crosslens.models.inputs import build_inputs
from crosslens.models.load import load_model
from crosslens.sae.model import TopKSAE

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
import tiny

SITE, SILENT, LOUD = "1", 3, 7
PROMPTS = ["Describe the picture.", "A nurse."]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    return load_model(id=str(tiny.save_tiny_text(tmp_path_factory.mktemp("clamp") / "m")), device="cpu")


@pytest.fixture(scope="module")
def sae():
    sae = TopKSAE(d_in=tiny.D_MODEL, d_sae=24, k=5)
    rng = torch.Generator().manual_seed(0)
    for tensor in sae.state_dict().values():
        tensor.copy_(torch.randn(tensor.shape, generator=rng) * 0.5)
    sae.W_dec[SILENT] = 0
    return sae


@pytest.fixture(scope="module", params=[["prompt", "generated"], ["generated"]], ids=["prompt", "generated"])
def answers(loaded, request):
    return Answers(loaded, SITE, PROMPTS, roles=request.param, max_new_tokens=6, batch=2), request.param


def test_a_feature_that_writes_nothing_changes_nothing(answers, sae):
    told = answers[0].told(sae, SILENT, 5.0)
    assert (told["changed"], told["kl"], told["mean_abs"], told["max_abs"]) == (0, 0, 0, 0)
    assert all(text["same"] and text["before"] == text["after"] for text in told["texts"])
    assert told["mean_abs_error"] > 0, "the error of the SAE is no change"


def test_the_change_is_that_of_the_reconstructions(answers, loaded, sae):
    answered, roles = answers
    told = answered.told(sae, LOUD, 30.0)
    deltas = []
    for sample, ids in zip(answered.samples, answered.ids, strict=True):
        prompt = build_inputs(loaded, [sample], images=None, with_caption=False)
        whole = torch.cat([prompt.inputs["input_ids"], torch.tensor([ids])], dim=1)
        with torch.no_grad(), capture(loaded, [SITE], stop=True) as captured:
            loaded.model(input_ids=whole, use_cache=False)
        x = captured[SITE][0]
        start = prompt.role.shape[1]
        edited = [i for i in range(whole.shape[1]) if i >= start or "prompt" in roles and _prompt(prompt, i)]
        ends = loaded.tokenizer.eos_token_id
        edited = [i for i in edited if i < start or ids[i - start] != ends]
        z = sae.encode_dense(x[edited])
        changed = z.clone()
        changed[:, LOUD] = 30.0
        every = torch.arange(24).expand(len(edited), 24)
        deltas.append((sae.decode(changed, every) - sae.decode(z, every)).abs())
    delta = torch.cat(deltas).double().numpy()
    assert told["positions"] == len(delta)
    assert told["mean_abs"] == pytest.approx(delta.mean(), rel=1e-3)
    assert told["max_abs"] == pytest.approx(delta.max(), rel=1e-3)
    largest = np.argsort(-delta.mean(axis=0))[:CHANNELS]
    assert [one["channel"] for one in told["channels"]] == largest.tolist()
    assert told["kl"] > 0


def _prompt(batch, i):
    return bool(batch.has_role(["prompt"])[0, i])


def test_the_strongest_writes_most_of_those_that_fire_often_enough(sae):
    high, frequency = np.ones(24), np.full(24, 0.5)
    high[5], high[9], frequency[9] = 100, 1000, 0.001
    assert strongest(frequency, high, sae) == [5]
    with pytest.raises(InputError, match=r"clamp\.features"):
        strongest(np.zeros(24), high, sae)
