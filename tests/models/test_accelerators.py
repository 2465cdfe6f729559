"""On a GPU the stages give what they give on the CPU, and the same bits when they run again.

Skipped where there is none. On the CPU `pytest tests/models/test_accelerators.py` therefore says nothing.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import D_MODEL, LAYERS, digests, save_dataset, save_tiny_vlm

from crosslens.activations.extract import extract
from crosslens.features.splice import measure_splice
from crosslens.generation.decode import decode
from crosslens.models.hooks import capture, edit
from crosslens.models.inputs import PADDING, Sample, build_inputs
from crosslens.models.load import load_model
from crosslens.models.sites import KINDS, Site
from crosslens.sae.settings import ARCHITECTURES
from crosslens.sae.training import train_saes
from crosslens.tables.activations import Activations
from crosslens.tables.documents import read_json, read_table, write_table
from crosslens.tables.tokens import read_tokens
from crosslens.tokens.measure import token_activations
from crosslens.tokens.select import Selection

sys.path.append(str(Path(__file__).parents[1] / "sae"))
from sae_store import files_of, planted, sae_in, write_store

THERE = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
DEVICES = [name for name, is_there in THERE.items() if is_there]
pytestmark = pytest.mark.skipif(not DEVICES, reason="no GPU")
SITES = [str(Site(layer, kind)) for layer in range(LAYERS) for kind in KINDS]
NEAR = 2e-5
"""Of the largest value: float32 sums in another order."""


@pytest.fixture(params=DEVICES or ["cpu"])
def device(request):
    return request.param


def near(found: torch.Tensor, expected: torch.Tensor) -> None:
    limit = NEAR * float(expected.abs().max())
    torch.testing.assert_close(found.cpu(), expected.cpu(), rtol=0, atol=limit)


def values_of(loaded, samples, pictures):
    batch = build_inputs(loaded, samples, images=pictures, with_caption=True)
    with torch.inference_mode(), capture(loaded, SITES) as values:
        logits = loaded.model(**batch.inputs, use_cache=False).logits
    return batch, values, logits


def test_sites_and_logits_are_those_of_the_cpu(family, samples_of, pictures, device):
    there = load_model(family.id, device=device)
    samples = samples_of(family)
    expected, found = (values_of(loaded, samples, pictures) for loaded in (family, there))
    kept = expected[0].role != PADDING
    assert torch.equal(found[0].role.cpu(), expected[0].role)
    for site in SITES:
        assert found[1][site].device.type == device
        near(found[1][site].cpu()[kept], expected[1][site][kept])
    near(found[2].cpu()[kept], expected[2][kept])
    with edit(there, SITES[-1], lambda value: value + 0):
        assert torch.equal(values_of(there, samples, pictures)[2], found[2])


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_every_family_writes_what_it_writes_on_the_cpu(family, samples_of, pictures, device, temperature):
    uniforms = torch.from_numpy(np.random.default_rng(0).random((4, 8)))

    def written(loaded):
        prompts = build_inputs(loaded, samples_of(family), images=pictures, with_caption=False)
        return decode(loaded, prompts, uniforms, draws=1, temperature=temperature, ends=[7, 11, 300])

    assert written(load_model(family.id, device=device)) == written(family)


def test_extraction(tmp_path, device):
    model = str(save_tiny_vlm(tmp_path / "model"))
    dataset, images = save_dataset(tmp_path, "ar", 24)

    def extracted(name, where):
        sites = {site: tmp_path / name / site / "out.zarr" for site in ("1", "2.resid_pre", "3")}
        tokens = tmp_path / name / "tokens" / "out.zarr"
        for path in [*sites.values(), tokens]:
            path.parent.mkdir(parents=True)
        extract(
            dataset=dataset,
            images=images,
            rows=(1, 24),
            model={"id": model, "device": where},
            sites=sites,
            tokens=tokens,
            batch_tokens=200,
            shard_bytes=8192,
            language="ar",
            dtype="float32",
        )
        return sites, tokens

    cpu, once, again = extracted("cpu", "cpu"), extracted("once", device), extracted("again", device)
    assert np.array_equal(read_tokens(cpu[1]).token_id, read_tokens(once[1]).token_id)
    for site, path in once[0].items():
        assert digests(path) == digests(again[0][site])
        found, expected = (Activations(where) for where in (path, cpu[0][site]))
        rows = [torch.from_numpy(stored.read(0, len(stored))) for stored in (found, expected)]
        near(*rows)
        near(torch.from_numpy(found.norms()), torch.from_numpy(expected.norms()))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_training(tmp_path, device, architecture):
    """The same bytes again, and as good an SAE as the CPU's."""
    x, _ = planted(4000, d=16, m=64, active=3, seed=0)
    store = write_store(tmp_path, {"en": x[:2400], "ar": x[2400:]}, dtype="bfloat16")
    settings = {
        "architecture": architecture,
        "k": 3,
        "d_sae": 160,
        "batch_tokens": 64,
        "lr": 3e-3,
        "epochs": 8,
    }
    saes = {name: sae_in(tmp_path / name, **settings) for name in ("cpu", "once", "again")}
    for name, sae in saes.items():
        train_saes(**store, saes=[sae], device="cpu" if name == "cpu" else device)
    assert files_of(saes["once"]) == files_of(saes["again"])
    fvu = {
        name: read_json(sae["out"] / "training.json", "training")["curve"][-1]["fvu"]
        for name, sae in saes.items()
    }
    assert abs(fvu["once"] - fvu["cpu"]) < 0.25 * fvu["cpu"] + 0.01


def test_splicing_nothing_changes_nothing(tmp_path, device):
    from test_splice_sae import perfect

    model = save_tiny_vlm(tmp_path / "model")
    dataset, images = save_dataset(tmp_path, "en", 12)
    frame = read_table(dataset, "dataset")
    write_table(dataset, "dataset", frame.assign(split="test"))
    measured = {}
    for where in ("cpu", device):
        measure_splice(
            model={"id": str(model), "device": where},
            dataset=dataset,
            images=images,
            sae=perfect(tmp_path / "sae", D_MODEL),
            site="1",
            roles=["prompt", "caption"],
            max_samples=8,
            batch=4,
            out=tmp_path / f"{where}.json",
        )
        measured[where] = read_json(tmp_path / f"{where}.json", "spliced")
    assert measured[device]["identity"]["max_abs_logit_difference"] == 0.0


def test_chosen_tokens(tmp_path, device):
    model = str(save_tiny_vlm(tmp_path / "model"))
    samples = [
        Sample("a", "امرأة تحمل كتابا أحمر في الحديقة.", "صف الصورة."),
        Sample("b", "A driver.", "Describe."),
    ]

    def found(where):
        select = Selection(words=("امرأة", "driver"), positions=(0,))
        return token_activations(
            load_model(model, device=where), samples, SITES[:4], language=["ar", "en"], select=select
        )

    cpu, there = found("cpu"), found(device)
    assert there.tokens["display"].tolist() == cpu.tokens["display"].tolist()
    for site in SITES[:4]:
        near(torch.from_numpy(there.at(site)), torch.from_numpy(cpu.at(site)))
        near(torch.from_numpy(there.cosine_tokens(site)), torch.from_numpy(cpu.cosine_tokens(site)))


@pytest.mark.skipif(importlib.util.find_spec("accelerate") is None, reason="a device map needs accelerate")
@pytest.mark.parametrize("kind", ["text", "vision"])
def test_a_model_that_is_spread_over_devices(tmp_path, load_family, samples_of, pictures, device, kind):
    """Half of the blocks on the GPU, half kept in the CPU's memory: as a model larger than the GPU."""
    family = load_family({"text": "llama", "vision": "gemma3"}[kind])
    prefix = {"text": "model", "vision": "model.language_model"}[kind]
    places = {f"{prefix}.layers.{layer}": device if layer < LAYERS // 2 else "cpu" for layer in range(LAYERS)}
    places |= {f"{prefix}.{part}": device for part in ("embed_tokens", "norm", "rotary_emb")}
    places |= {"lm_head": device, "model.vision_tower": device, "model.multi_modal_projector": device}
    there = load_model(family.id, device_map=places)
    samples = samples_of(family)
    expected, found = (values_of(loaded, samples, pictures) for loaded in (family, there))
    kept = expected[0].role != PADDING
    for site in SITES:
        near(found[1][site].cpu()[kept], expected[1][site][kept])
