"""Files that no SAE can be read from: each is refused by name, and nothing in them runs."""

import contextlib
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from foreign_files import D, F, K, weights, write

from crosslens.errors import InputError
from crosslens.sae.exchange.hub import download, parse_hub_id
from crosslens.sae.exchange.read import read_sae

CONFIG = {
    "architecture": "standard",
    "d_in": D,
    "d_sae": F,
    "apply_b_dec_to_input": True,
    "normalize_activations": "none",
    "reshape_activations": "none",
    "metadata": {"hook_name": "blocks.3.hook_resid_post"},
}


def saelens(folder, tensors=None, **changes):
    named = (
        {name: weights()[name] for name in ("W_enc", "W_dec", "b_enc", "b_dec")}
        if tensors is None
        else tensors
    )
    config = {key: value for key, value in {**CONFIG, **changes}.items() if value != "absent"}
    return write(folder, config, named, "sae_weights.safetensors")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"architecture": "matching_pursuit"}, "architecture 'matching_pursuit'; expected .*'gated'"),
        ({"architecture": "topk_transcoder"}, "architecture 'topk_transcoder'"),
        ({"architecture": "absent"}, "found no architecture"),
        ({"activation_fn": "tanh-relu"}, "activation_fn 'tanh-relu'"),
        ({"normalize_activations": "covariance_whitening"}, "normalize_activations 'covariance_whitening'"),
        ({"normalize_activations": "absent"}, "found no normalize_activations"),
        ({"apply_b_dec_to_input": "absent"}, "found no apply_b_dec_to_input"),
        ({"reshape_activations": "other"}, "reshape_activations 'other'"),
        ({"d_sae": F + 1}, r"sae_weights.*expected .*'W_enc': \(6, 25\)"),
        ({"d_sae": "absent"}, "d_sae None"),
        ({"d_in": 6.0}, "d_in 6.0"),
        ({"d_in": True}, "d_in True"),
        ({"k": K}, f"k {K} in a standard SAE"),
        ({"architecture": "topk"}, "k None"),
        ({"architecture": "topk", "k": F + 1}, f"k {F + 1}; expected at most d_sae = {F}"),
        ({"architecture": "topk", "k": K, "rescale_acts_by_decoder_norm": "yes"}, "rescale_acts"),
        ({"architecture": "jumprelu"}, "tensors .*expected .*threshold"),
        ({"architecture": "gated"}, "tensors .*expected .*b_gate"),
        ({"architecture": "transcoder", "d_out": D}, "apply_b_dec_to_input True"),
        (
            {
                "architecture": "transcoder",
                "d_out": D,
                "apply_b_dec_to_input": False,
                "normalize_activations": "layer_norm",
            },
            "normalize_activations 'layer_norm'",
        ),
        ({"architecture": "transcoder", "apply_b_dec_to_input": False}, "d_out None"),
    ],
)
def test_configurations(tmp_path, changes, message):
    with pytest.raises(InputError, match=message) as error:
        read_sae(saelens(tmp_path, **changes))
    assert str(tmp_path) in str(error.value)


def test_flat_activations_of_other_kinds(tmp_path):
    changes = {"metadata": "absent", "hook_point": "blocks.3.hook_resid_pre"}
    with pytest.raises(InputError, match="activation_fn 'tanh-relu'"):
        read_sae(saelens(tmp_path / "a", activation_fn_str="tanh-relu", **changes))
    with pytest.raises(InputError, match="k None"):
        read_sae(saelens(tmp_path / "b", activation_fn_str="topk", **changes))
    with pytest.raises(InputError, match="k 3 and 4"):
        read_sae(saelens(tmp_path / "c", k=3, activation_fn_kwargs={"k": 4}, **changes))
    with pytest.raises(InputError, match="k 4 in a standard SAE"):
        read_sae(saelens(tmp_path / "d", activation_fn="relu", activation_fn_kwargs={"k": 4}, **changes))
    with pytest.raises(InputError, match="activation_fn 'topk'; expected activation_fn 'relu'"):
        read_sae(saelens(tmp_path / "e", architecture="jumprelu", activation_fn="topk", k=3, **changes))


ODD = (None, [], {}, "x", "", -1, 0, 1.5, True, False, 10**9)


def formats():
    """(configuration, weights, name of the weights, name of the configuration) of every format."""
    w = weights()
    plain = {name: w[name] for name in ("W_enc", "W_dec", "b_enc", "b_dec")}
    gated = {name: w[name] for name in ("W_enc", "W_dec", "b_dec")}
    gated |= dict.fromkeys(("b_gate", "b_mag", "r_mag"), w["b_enc"])
    six = {**CONFIG, "architecture": "topk", "k": K, "rescale_acts_by_decoder_norm": False}
    flat = {key: value for key, value in six.items() if key != "metadata"}
    flat |= {"hook_point": "blocks.3.hook_resid_post", "activation_fn_kwargs": {"k": K}}
    linear = {"encoder.weight": w["W_enc"].T, "encoder.bias": w["b_enc"], "b_dec": w["b_dec"]}
    sparsify = {"activation": "topk", "num_latents": F, "k": K, "d_in": D, "transcode": True}
    trainer = {"dict_class": "BatchTopKSAE", "activation_dim": D, "dict_size": F, "k": K, "layer": 3}
    numbers = {"k": np.array(K), "threshold": np.array(0.5, dtype=np.float32)}
    gemma = {"architecture": "jump_relu", "width": F, "hf_hook_point_in": "model.layers.3.output"}
    lower = {{"W_enc": "w_enc", "W_dec": "w_dec"}.get(name, name): value for name, value in w.items()}
    safe = "sae_weights.safetensors"
    return {
        "saelens": (six, plain, safe, "cfg.json"),
        "gated": ({**CONFIG, "architecture": "gated"}, gated, safe, "cfg.json"),
        "flat": (flat, plain, safe, "cfg.json"),
        "sparsify": (sparsify, {**linear, "W_dec": w["W_dec"]}, "sae.safetensors", "cfg.json"),
        "dictionary_learning": (
            {"trainer": trainer, "buffer": {"io": "out"}},
            {**linear, "decoder.weight": w["W_dec"].T, **numbers},
            "ae.pt",
            "config.json",
        ),
        "gemma_scope": (None, w, "params.npz", "config.json"),
        "gemma_scope_2": (gemma, lower, "params.safetensors", "config.json"),
    }


@pytest.mark.parametrize("name", formats())
def test_any_damage_is_told_as_bad_input(tmp_path, name):
    """Every key set to odd values, every tensor left out, cut or flattened: another SAE, or an InputError."""
    config, tensors, *names = formats()[name]
    write(tmp_path, config, tensors, *names)
    read_sae(tmp_path)
    for key, value in [(key, value) for key in config or () for value in ODD]:
        write(tmp_path, {**config, key: value}, tensors, *names)
        with contextlib.suppress(InputError):
            read_sae(tmp_path)
    for key, value in [(key, value) for key in (config or {}).get("trainer", ()) for value in ODD]:
        write(tmp_path, {**config, "trainer": {**config["trainer"], key: value}}, tensors, *names)
        with contextlib.suppress(InputError):
            read_sae(tmp_path)
    needed = [key for key in tensors if key not in ("k", "threshold") or name.startswith("gemma")]
    for key in needed:
        rest = {other: value for other, value in tensors.items() if other != key}
        flat = tensors[key].reshape(-1)
        for changed in (rest, rest | {key: flat[:-1]}, rest | {key: flat[:0]}, rest | {key: flat[0]}):
            write(tmp_path, config, changed, *names)
            with pytest.raises(InputError):
                read_sae(tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(tmp_path, value):
    tensors = {name: weights()[name] for name in ("W_enc", "W_dec", "b_enc", "b_dec")}
    tensors["W_dec"][3, 2] = value
    with pytest.raises(
        InputError, match=r"sae_weights\.safetensors: found 1 NaN or infinite values in W_dec"
    ):
        read_sae(saelens(tmp_path, tensors))


def test_weights_of_another_shape_or_dtype(tmp_path):
    tensors = {name: weights()[name] for name in ("W_enc", "W_dec", "b_enc", "b_dec")}
    with pytest.raises(InputError, match=r"'W_enc': \(24, 6\).*expected .*'W_enc': \(6, 24\)"):
        read_sae(saelens(tmp_path / "a", tensors | {"W_enc": tensors["W_enc"].T}))
    with pytest.raises(InputError, match="b_enc of torch.int64"):
        read_sae(saelens(tmp_path / "b", tensors | {"b_enc": np.zeros(F, dtype=np.int64)}))
    del tensors["b_enc"]
    with pytest.raises(InputError, match="tensors .*expected .*b_enc"):
        read_sae(saelens(tmp_path / "c", tensors))


class Trap:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_pickled_objects_are_refused_and_never_run(tmp_path):
    config = {"trainer": {"dict_class": "AutoEncoder", "activation_dim": D, "dict_size": F}}
    folder = write(tmp_path / "pt", config, {}, "ae.pt", "config.json")
    torch.save({"encoder.weight": torch.zeros(2, 2), "x": Trap(tmp_path / "ran")}, folder / "ae.pt")
    with pytest.raises(InputError, match=r"ae\.pt: .*weights_only.*pickled objects are not read"):
        read_sae(folder)
    (tmp_path / "npz").mkdir()
    np.savez(tmp_path / "npz/params.npz", W_enc=np.array([Trap(tmp_path / "ran")], dtype=object))
    with pytest.raises(InputError, match=r"params\.npz: .*plain number arrays.*pickled objects are not read"):
        read_sae(tmp_path / "npz")
    assert not (tmp_path / "ran").exists()


def test_a_state_that_is_no_dict_of_tensors(tmp_path):
    torch.save([torch.zeros(2)], tmp_path / "ae.pt")
    with pytest.raises(InputError, match="a list of other things"):
        read_sae(tmp_path)
    torch.save({"epoch": 3}, tmp_path / "ae.pt")
    with pytest.raises(InputError, match="a dict of other things"):
        read_sae(tmp_path)


@pytest.mark.parametrize("name", ["sae_weights.safetensors", "params.npz", "ae.pt"])
def test_damaged_files(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x00 no tensors")
    with pytest.raises(InputError, match=name):
        read_sae(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_damaged_configuration(tmp_path, text):
    folder = saelens(tmp_path)
    (folder / "cfg.json").write_text(text)
    with pytest.raises(InputError, match=r"cfg\.json"):
        read_sae(folder)


def test_nothing_to_read(tmp_path):
    with pytest.raises(InputError, match="nowhere: found nothing"):
        read_sae(tmp_path / "nowhere")
    (tmp_path / "layer_3").mkdir()
    with pytest.raises(InputError, match="found layer_3; expected one of sae_weights.*the folder of one SAE"):
        read_sae(tmp_path)
    saelens(tmp_path)
    write(tmp_path, None, weights(), "params.npz")
    with pytest.raises(InputError, match="found sae_weights.safetensors, params.npz.*name the file"):
        read_sae(tmp_path)
    assert read_sae(tmp_path / "sae_weights.safetensors").format == "saelens"
    gone = write(tmp_path / "gone", {}, weights(), "ae.pt") / "ae.pt"
    gone.unlink()
    gone.symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"found ae\.pt \(a link to nothing\), cfg\.json; expected one of"):
        read_sae(tmp_path / "gone")
    (tmp_path / "sae.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"found a \.bin file"):
        read_sae(tmp_path / "sae.bin")


def test_weights_without_their_configuration(tmp_path):
    folder = saelens(tmp_path)
    (folder / "cfg.json").unlink()
    with pytest.raises(InputError, match=r"tensors \['W_dec'.*both the weights and their configuration"):
        read_sae(folder)


def test_expectations(tmp_path):
    folder = saelens(tmp_path)
    assert read_sae(folder, expect_site="3", expect_width=D).site == "3"
    with pytest.raises(InputError, match="site 3 .*expected site 4"):
        read_sae(folder, expect_site="4")
    with pytest.raises(InputError, match="width 6; expected width 8"):
        read_sae(folder, expect_width=8)


GEMMA = "hf:google/gemma-scope-2-4b-it/resid_post/layer_17_width_16k_l0_medium"


def test_hub_ids():
    hub = parse_hub_id(GEMMA)
    assert (hub.repo, str(hub.path)) == (
        "google/gemma-scope-2-4b-it",
        "resid_post/layer_17_width_16k_l0_medium",
    )
    assert hub.revision is None and f"{hub.path}/params.safetensors" in hub.patterns
    assert all(str(pattern).startswith("resid_post/") for pattern in hub.patterns)
    assert parse_hub_id("hf:org/sae@abc123").revision == "abc123"
    assert "cfg.json" in parse_hub_id("hf:org/sae").patterns
    one = parse_hub_id("hf:org/saes/trainer_0/checkpoints/ae_9.pt")
    assert "trainer_0/config.json" in one.patterns and "trainer_0/checkpoints/ae_9.pt" in one.patterns
    # OpenAI's TopK SAEs of GPT-2
    folder = parse_hub_id("hf:someone/attn-out/v5_32k_layer_8.pt").patterns
    assert {"v5_32k_layer_8.pt/sae_weights.safetensors", "v5_32k_layer_8.pt/cfg.json"} <= set(folder)


@pytest.mark.parametrize(
    "text", ["hf:", "hf:org", "hf:org/sae/../x", "hf:/org/sae", "hf:org/sae//x", "hf:org/sae/*"]
)
def test_what_is_no_hub_id(text):
    with pytest.raises(InputError, match="hub id: .*expected hf:owner/name/folder"):
        parse_hub_id(text)


def test_the_downloaded_folder_is_read_as_any_other(tmp_path, monkeypatch):
    asked = []

    def snapshot_download(repo, *, revision, allow_patterns):
        asked.append((repo, revision))
        return str(tmp_path)

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=snapshot_download))
    folder = saelens(tmp_path / "blocks.3.hook_resid_post")
    here, there = read_sae(folder), read_sae("hf:org/saes/blocks.3.hook_resid_post@v1")
    assert asked == [("org/saes", "v1")] and here[1:] == there[1:]
    assert torch.equal(here.sae.W_enc, there.sae.W_enc)
    assert read_sae("hf:org/saes/blocks.3.hook_resid_post/sae_weights.safetensors").site == "3"


def test_a_download_that_fails(monkeypatch):
    def snapshot_download(*_, **__):
        raise OSError("no route\nto host")

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=snapshot_download))
    with pytest.raises(InputError, match="l0_medium: found no route; expected a repository"):
        download(GEMMA)


def test_a_configuration_may_be_named_for_its_folder(tmp_path):
    folder = saelens(tmp_path)
    assert json.loads((folder / "cfg.json").read_text())["d_in"] == D
    assert read_sae(folder / "cfg.json").site == "3"
