"""On a GPU the stages give what they give on the CPU, and the same bits when they run again.

Skipped where there is none. `CROSSLENS_TEST_DEVICES=cpu pytest tests/models/test_accelerators.py` runs the file against
the CPU itself, which says whether its calls are right, not whether a GPU is.
"""

import importlib.util
import os
import sys
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import D_MODEL, LAYERS, digests, save_dataset, save_tiny_vlm

from crosslens.activations.extract import extract
from crosslens.features import splice
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

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("sae", "features")]
from sae_store import files_of, planted, sae_in, write_store
from splice_sae import SITE, perfect_sae, save

THERE = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
DEVICES = os.environ.get(
    "CROSSLENS_TEST_DEVICES", " ".join(n for n, is_there in THERE.items() if is_there)
).split()
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


def written(loaded, samples, pictures, temperature):
    """Two texts a sample, of which some end early: decoding goes on with the rows that are left."""
    prompts = build_inputs(loaded, samples, images=pictures, with_caption=False)
    uniforms = torch.from_numpy(np.random.default_rng(0).random((2 * len(samples), 8)))
    ends = list(range(0, len(loaded.tokenizer), 4))
    return decode(loaded, prompts, uniforms, draws=2, temperature=temperature, ends=ends)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_every_family_writes_what_it_writes_on_the_cpu(family, samples_of, pictures, device, temperature):
    there, samples = load_model(family.id, device=device), samples_of(family)
    assert written(there, samples, pictures, temperature) == written(family, samples, pictures, temperature)


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


def spliced(tmp_path, where, model, kind):
    """What a perfect SAE costs the model; kind: of the dataset, with pictures or without."""
    folder = tmp_path / where
    dataset, images = save_dataset(folder, "en", 12, images=kind == "vision")
    write_table(dataset, "dataset", read_table(dataset, "dataset").assign(split=["train", "test"] * 6))
    sae = save(folder / "sae", perfect_sae(D_MODEL), site=SITE)
    splice.splice_saes(
        model=model,
        images=images,
        splices=[{"dataset": dataset, "sae": sae, "out": folder / "spliced.json"}],
        site=SITE,
        roles=["prompt", "caption"],
        max_samples=8,
        batch=4,
    )
    return read_json(folder / "spliced.json", "spliced")


def same_costs(found, expected):
    assert found["identity"]["max_abs_logit_difference"] == 0.0
    assert found["tokens"] == expected["tokens"]
    for name in ("clean", *splice.EDITS):
        assert found["ce"][name]["value"] == pytest.approx(expected["ce"][name]["value"], rel=1e-4)


def test_splicing(tmp_path, device):
    model = str(save_tiny_vlm(tmp_path / "model"))
    expected, found = (
        spliced(tmp_path, name, {"id": model, "device": where}, "vision")
        for name, where in (("expected", "cpu"), ("found", device))
    )
    same_costs(found, expected)


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


def half_on(loaded, place):
    """A device map: the first half of the blocks and all around them on `place`, the other half on the CPU."""
    names = {module: name for name, module in loaded.model.named_modules()}
    blocks = loaded.adapter.blocks
    around = {"", *accumulate(names[blocks].split("."), "{}.{}".format)}
    parts = [name for name in names.values() if name not in around and name.rpartition(".")[0] in around]
    return dict.fromkeys(parts, place) | {names[block]: "cpu" for block in blocks[LAYERS // 2 :]}


def kept_in_memory(loaded, device):
    """Half of the blocks are kept in the CPU's memory and brought to the GPU one by one: a model larger than it."""
    return load_model(loaded.id, device_map=half_on(loaded, device))


def computed_on_two_devices(loaded, device):
    """Half of the blocks are computed on the CPU: what two GPUs do, where there is one."""
    from accelerate.hooks import attach_align_device_hook_on_blocks

    there, places = load_model(loaded.id, device=device), half_on(loaded, device)
    attach_align_device_hook_on_blocks(
        there.model,
        execution_device={"": device, **places},
        offload=dict.fromkeys(places, False),
        skip_keys=there.model._skip_keys_device_placement,
    )
    found = [next(block.parameters()).device.type for block in there.adapter.blocks]
    assert found == [device] * (LAYERS // 2) + ["cpu"] * (LAYERS // 2)
    return there


@pytest.mark.skipif(importlib.util.find_spec("accelerate") is None, reason="a device map needs accelerate")
@pytest.mark.parametrize("spread", [kept_in_memory, computed_on_two_devices])
@pytest.mark.parametrize("name", ["llama", "gemma3", "mllama"])
def test_a_model_that_is_spread_over_devices(
    tmp_path, load_family, samples_of, pictures, device, name, spread, monkeypatch
):
    family = load_family(name)
    there, samples = spread(family, device), samples_of(family)
    assert there.device.type == device
    expected, found = (values_of(loaded, samples, pictures) for loaded in (family, there))
    kept = expected[0].role != PADDING
    for site in SITES:
        near(found[1][site].cpu()[kept], expected[1][site][kept])
    near(found[2].cpu()[kept], expected[2][kept])
    for site in SITES:
        with edit(there, site, lambda value: value + 0):
            assert torch.equal(values_of(there, samples, pictures)[2], found[2])
    for temperature in (0.0, 1.0):
        assert written(there, samples, pictures, temperature) == written(
            family, samples, pictures, temperature
        )
    kind, costs = "vision" if family.adapter.is_vision else "text", {}
    for where, loaded in (("expected", family), ("found", there)):
        monkeypatch.setattr(splice, "load_model", lambda loaded=loaded, **settings: loaded)
        costs[where] = spliced(tmp_path, where, {"id": "model"}, kind)
    same_costs(costs["found"], costs["expected"])
