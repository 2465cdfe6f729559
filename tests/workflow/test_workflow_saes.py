"""Several SAEs of a site: seeds, a sweep, and those of others."""

import json

import pytest
import torch
import torch.nn.functional as F
from checkouts import TOY

from crosslens.sae.exchange.sparsify import write_sparsify
from crosslens.sae.io import load_sae, sae_origin
from crosslens.sae.model import TopKSAE

SWEEP = {"architecture": ["topk", "relu"], "k": [4, 12], "l1": [0.3]}


def random_sae(folder, site: str) -> None:
    """A sparsify folder of the layer: random unit directions, d = 128."""
    sae, rows = TopKSAE(128, 64, 4), torch.randn(64, 128, generator=torch.Generator().manual_seed(0))
    sae.W_dec.copy_(F.normalize(rows, dim=1))
    sae.W_enc.copy_(sae.W_dec.T)
    write_sparsify(folder / f"layers.{site}", sae)


@pytest.mark.long
def test_a_sweep_trains_beside_the_studys_own_in_one_job_and_is_compared(built):
    own = "results/toy/sae/joint/layer_1/seed_0/sae_weights.safetensors"
    before = built.digests()[own]
    built.configure("toy", TOY | {"sae": {**TOY["sae"], "seeds": [0, 1]}, "sweep": SWEEP})
    result = "results/toy/sweep/joint/layer_1.json"
    done = built.run(result, "results/toy/sae/joint/layer_1/seed_1/cfg.json")
    assert done["train_saes"] == 1 and not {"extract", "apply_saes"} & done.keys()
    assert built.digests()[own] == before
    log = (built.folder / "logs/toy/train_saes_1.log").read_text()
    assert log.count(": computed") == 4 and "seed_0: already in the store" in log
    sweep = json.loads((built.folder / result).read_text())
    assert {setting["name"] for setting in sweep["settings"]} == {
        "study",
        "topk-k_4",
        "topk-k_12",
        "relu-l1_0.3",
    }
    fixed = {setting["name"]: setting["l0"] for setting in sweep["settings"]}
    assert fixed["topk-k_4"] <= 4 < fixed["study"] <= 8 < fixed["topk-k_12"] <= 12
    assert sweep["recommended"] in fixed and all(
        set(s["languages"]) == {"en", "ar"} for s in sweep["settings"]
    )
    drawn = built.run("results/toy/figures/sweep/joint/layer_1/pareto.png")
    assert drawn.keys() <= {"draw_sweep_figure", "sweep_figure"}

    # a further value trains that alone
    built.configure(
        "toy", TOY | {"sae": {**TOY["sae"], "seeds": [0, 1]}, "sweep": SWEEP | {"k": [4, 12, 16]}}
    )
    built.run(result)
    assert (built.folder / "logs/toy/train_saes_1.log").read_text().count(": computed") == 1


def test_a_pretrained_sae_is_adopted_and_nothing_is_trained(built):
    random_sae(built.folder / "foreign", "1")
    pretrained = {"random": {"1": "foreign/layers.1"}}
    built.configure("toy", TOY | {"sae": {**TOY["sae"], "pretrained": pretrained}})
    planned = built.planned("results/toy/layers/1.json")
    assert planned["adopt_sae"] == 1 and planned["quality"] == planned["features"] == 2
    assert not {"train_saes", "extract"} & planned.keys()


@pytest.mark.long
def test_a_pretrained_sae_is_a_corpus_of_its_own(built):
    """Of another study's SAE, tests/test_storage.py asks the same of its numbers."""
    random_sae(built.folder / "foreign", "1")
    pretrained = {"random": {"1": "foreign/layers.1"}}
    built.configure("toy", TOY | {"sae": {**TOY["sae"], "pretrained": pretrained}})
    done = built.run("results/toy/layers/1.json")
    assert done["adopt_sae"] == 1 and done["quality"] == done["features"] == 2
    assert not {"train_saes", "extract"} & done.keys()
    adopted = built.folder / "results/toy/pretrained/random/layer_1"
    assert load_sae(adopted).d_sae == 64 and sae_origin(adopted)[0] == "topk"
    layer = json.loads((built.folder / "results/toy/layers/1.json").read_text())
    quality = {(record["corpus"], record["language"]): record["fvu"] for record in layer["saes"]}
    assert quality.keys() == {
        (corpus, language) for corpus in ("joint", "random") for language in ("en", "ar")
    }
    assert quality["random", "en"] > quality["joint", "en"]


def test_a_pretrained_sae_of_another_layer_is_refused(built):
    random_sae(built.folder / "foreign", "3")
    pretrained = {"random": {"1": "foreign/layers.3"}}
    built.configure("toy", TOY | {"sae": {**TOY["sae"], "pretrained": pretrained}})
    said = built.snakemake("results/toy/pretrained/random/layer_1/cfg.json", fails=True)
    assert "found an SAE of site 3" in said and "expected site 1" in said
