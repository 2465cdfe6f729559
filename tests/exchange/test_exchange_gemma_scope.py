"""Gemma Scope 1 and 2, against SAELens' loaders for them and against the formula in numpy."""

import importlib

import pytest
import torch
from foreign_files import D, F, agrees, jump, tokens, weights, write
from safetensors.torch import load_file

from crosslens.errors import InputError
from crosslens.sae.exchange.read import read_sae

FIRST = ("W_enc", "W_dec", "b_enc", "b_dec", "threshold")


def first(folder, w):
    return write(folder, None, {name: w[name] for name in FIRST}, "params.npz")


def second(folder, w, config):
    names = {"W_enc": "w_enc", "W_dec": "w_dec"}
    named = {names.get(name, name): w[name] for name in FIRST}
    if "skip" in w:
        named["affine_skip_connection"] = w["skip"]
    return write(folder, config, named, "params.safetensors", "config.json")


def config(**changes):
    return {
        "architecture": "jump_relu",
        "model_name": "gemma-v3-4b-it",
        "hf_hook_point_in": "model.layers.17.output",
        "hf_hook_point_out": "model.layers.17.output",
        "width": F,
        "l0": 50,
        "affine_connection": False,
        **changes,
    }


MLP = "model.layers.17.{}_feedforward_layernorm.output"
TRANSCODER = {"hf_hook_point_in": MLP.format("pre"), "hf_hook_point_out": MLP.format("post")}


def by_hand(w, x):
    """b_dec is not subtracted from the input."""
    z = jump(x @ w["W_enc"] + w["b_enc"], w["threshold"])
    return z, z @ w["W_dec"] + w["b_dec"]


@pytest.mark.parametrize(
    "place, site, target, model",
    [
        ("gemma-scope-2b-pt-res", "20", None, "google/gemma-2-2b"),
        ("models--google--gemma-scope-9b-it-res/snapshots/0123", "20", None, "google/gemma-2-9b-it"),
        ("gemma-scope-2b-pt-mlp", "20.mlp_out", None, "google/gemma-2-2b"),
        ("gemma-scope-2b-pt-att", None, None, "google/gemma-2-2b"),
        ("gemma-scope-2b-pt-transcoders", None, "20.mlp_out", "google/gemma-2-2b"),
        ("downloads", None, None, None),
    ],
)
def test_first_by_hand(tmp_path, place, site, target, model):
    w, x = weights(), tokens()
    folder = first(tmp_path / place / "layer_20/width_16k/average_l0_71", w)
    foreign = read_sae(folder)
    agrees(foreign, x, *by_hand(w, x))
    assert (foreign.format, foreign.site, foreign.target, foreign.model) == (
        "gemma_scope",
        site,
        target,
        model,
    )
    assert foreign.transcoder == (target is not None)
    assert read_sae(folder / "params.npz").site == site


@pytest.mark.parametrize(
    "changes, site",
    [
        ({}, "17"),
        ({"hf_hook_point_in": MLP.format("post"), "hf_hook_point_out": None}, "17.mlp_out"),
        ({"hf_hook_point_in": "model.layers.17.self_attn.o_proj.input", "hf_hook_point_out": None}, None),
    ],
)
def test_second_by_hand(tmp_path, changes, site):
    w, x = weights(), tokens()
    foreign = read_sae(second(tmp_path, w, config(**changes)))
    agrees(foreign, x, *by_hand(w, x))
    assert (foreign.site, foreign.model, foreign.transcoder) == (site, "google/gemma-3-4b-it", False)


@pytest.mark.parametrize("skip", [False, True])
def test_second_transcoders_by_hand(tmp_path, skip):
    """affine_skip_connection is (d_in, d_out), the transpose of SAELens' W_skip."""
    w, x = weights(**({"skip": (D, D)} if skip else {})), tokens()
    foreign = read_sae(second(tmp_path, w, config(**TRANSCODER, affine_connection=skip)))
    z, x_hat = by_hand(w, x)
    agrees(foreign, x, z, x_hat + (x @ w["skip"] if skip else 0))
    assert (foreign.site, foreign.target, foreign.transcoder) == (None, "17.mlp_out", True)
    assert foreign.hook == TRANSCODER["hf_hook_point_in"]


@pytest.mark.parametrize(
    "kind, site, target",
    [
        ("resid_post", "17", None),
        ("resid_post_all", "17", None),
        ("mlp_out", "17.mlp_out", None),
        ("attn_out", None, None),
        ("transcoder_all", None, "17.mlp_out"),
        ("elsewhere", None, None),
    ],
)
def test_second_without_configuration(tmp_path, kind, site, target):
    w, x = weights(), tokens()
    foreign = read_sae(second(tmp_path / kind / "layer_17_width_16k_l0_medium", w, None))
    agrees(foreign, x, *by_hand(w, x))
    assert (foreign.site, foreign.target) == (site, target)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"architecture": "topk"}, "architecture 'topk'"),
        ({"affine_connection": True}, "affine_connection True"),
        ({"width": 2 * F}, "width 48; expected 24"),
    ],
)
def test_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        read_sae(second(tmp_path, weights(), config(**changes)))


def test_no_threshold_is_no_relu(tmp_path):
    w = weights()
    del w["threshold"]
    folder = write(tmp_path / "a", None, w, "params.npz")
    with pytest.raises(InputError, match=r"params\.npz: .*threshold"):
        read_sae(folder)


def test_cross_layer_transcoders_are_refused(tmp_path):
    w = weights() | {"W_dec": weights()["W_dec"][:, None]}
    with pytest.raises(InputError, match=r"w_dec of shape \(24, 1, 6\)"):
        read_sae(second(tmp_path, w, config()))


@pytest.fixture
def loaders(monkeypatch, tmp_path):
    """SAELens' loaders, with files of `tmp_path` in place of the hub's."""
    pytest.importorskip("sae_lens")
    module = importlib.import_module("sae_lens.loading.pretrained_sae_loaders")

    def local(repo_id, filename, subfolder="", **_):
        return str(tmp_path / subfolder / filename)

    def shapes(repo_id, filename):
        return {name: list(value.shape) for name, value in load_file(tmp_path / filename).items()}

    monkeypatch.setattr(module, "hf_hub_download", local)
    monkeypatch.setattr(module, "get_safetensors_tensor_shapes", shapes)
    return module


def of_saelens(loaded, x):
    sae_lens = importlib.import_module("sae_lens")
    module = importlib.import_module("sae_lens.loading.pretrained_sae_loaders")
    config, state, _ = loaded
    theirs = sae_lens.SAE.from_dict(module.handle_config_defaulting(config))
    theirs.load_state_dict(state)
    with torch.no_grad():
        return theirs.encode(torch.tensor(x)).numpy(), theirs(torch.tensor(x)).numpy()


def test_first_as_saelens_reads_it(loaders, tmp_path):
    place, x = "layer_20/width_16k/average_l0_71", tokens()
    first(tmp_path / place, weights())
    sizes = {"d_in": D, "d_sae": F}  # SAELens takes them from the names
    theirs = loaders.gemma_2_sae_huggingface_loader(
        "google/gemma-scope-2b-pt-res", place, "cpu", False, sizes
    )
    agrees(read_sae(tmp_path / place), x, *of_saelens(theirs, x))


@pytest.mark.parametrize("kind, skip", [("resid_post", False), ("transcoder", False), ("transcoder", True)])
def test_second_as_saelens_reads_it(loaders, tmp_path, kind, skip):
    place, x = f"{kind}/layer_17_width_16k_l0_medium", tokens()
    changes = TRANSCODER if kind == "transcoder" else {}
    w = weights(**({"skip": (D, D)} if skip else {}))
    second(tmp_path / place, w, config(**changes, affine_connection=skip))
    theirs = loaders.gemma_3_sae_huggingface_loader("google/gemma-scope-2-4b-it", place, "cpu")
    foreign = read_sae(tmp_path / place)
    agrees(foreign, x, *of_saelens(theirs, x))
    assert foreign.model == theirs[0]["model_name"]
