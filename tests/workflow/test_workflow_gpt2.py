"""GPT-2 with published SAEs, as config/studies/categories_gpt2.yaml names them, out of a cache as the hub's client leaves it.

The model in it is random and small, and so are the SAEs; their files have the names and keys of the published ones.
"""

import json
import shutil
import sys

import pytest
import torch
import transformers as hf
import yaml
from checkouts import REPOSITORY, Checkout
from safetensors.torch import save_file

from crosslens.tables.documents import read_json
from crosslens.tables.tokens import read_tokens

sys.path.insert(0, str(REPOSITORY / "tests/models"))
sys.path.insert(0, str(REPOSITORY / "tests/report"))
from page_reader import Page
from tiny_families import _ids, gpt2_tokenizer, save

STUDY = yaml.safe_load((REPOSITORY / "config/studies/categories_gpt2.yaml").read_text(encoding="utf-8"))
WIDTH, FEATURES = 32, 96


def lay_model(cache) -> None:
    """Twelve blocks, as GPT-2 small has."""
    model = STUDY["model"]
    tokenizer = gpt2_tokenizer()
    config = hf.GPT2Config(n_embd=WIDTH, n_layer=12, n_head=2, n_positions=512, **_ids(tokenizer))
    folder = cache / f"models--{model['id'].replace('/', '--')}" / "snapshots" / model["revision"]
    save(folder, hf.GPT2LMHeadModel, config, tokenizer=tokenizer)


def lay_saes(cache) -> None:
    """In SAELens' layout before version 6."""
    torch.manual_seed(0)
    for source in STUDY["sae"]["pretrained"]["res_jb"].values():
        place, commit = source.removeprefix("hf:").split("@")
        owner, name, hook = place.split("/")
        folder = cache / f"models--{owner}--{name}" / "snapshots" / commit / hook
        folder.mkdir(parents=True)
        rows = torch.nn.functional.normalize(torch.randn(FEATURES, WIDTH), dim=1)
        weights = {"W_enc": rows.T.contiguous(), "W_dec": rows}
        weights |= {"b_enc": torch.zeros(FEATURES), "b_dec": torch.zeros(WIDTH)}
        save_file(weights, folder / "sae_weights.safetensors")
        said = {"model_name": "gpt2-small", "hook_point": hook, "hook_point_layer": int(hook.split(".")[1])}
        said |= {"d_in": WIDTH, "d_sae": FEATURES, "dtype": "torch.float32", "prepend_bos": True}
        (folder / "cfg.json").write_text(json.dumps(said))


@pytest.mark.long
def test_published_saes_run_to_a_page_that_leads_to_neuronpedia(source, tmp_path):
    lay_model(tmp_path / "home/hub")
    lay_saes(tmp_path / "home/hub")
    checkout = Checkout.create(tmp_path / "checkout", source)
    # the hub's client reads its environment when it is imported, which the tests' warm process has done
    checkout.python = sys.executable
    checkout.environment |= {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    shutil.copytree(REPOSITORY / "resources/texts", checkout.folder / "resources/texts")
    checkout.configure("categories_gpt2", STUDY)
    checkout.snakemake("results/categories_gpt2/report/index.html")
    results = checkout.folder / "results/categories_gpt2"
    tokens = read_tokens(results / "activations/en/tokens/part_0000.zarr")
    # BOS stands at 0, and only captions are stored
    assert len(tokens.offsets) == 71 and (tokens.position[tokens.offsets[:-1]] == 1).all()
    for site in STUDY["sites"]:
        rankings = read_json(results / f"features/res_jb/en/layer_{site}/rankings.json", "rankings")
        assert len(rankings["specialists"]["categories"]) == 7
    page = (results / "report/index.html").read_text(encoding="utf-8")
    for called in STUDY["sae"]["neuronpedia"]["res_jb"].values():
        assert f'href="https://www.neuronpedia.org/{called}/' in page
    assert {"rankings", "specialists"} <= Page(page).tables.keys()
