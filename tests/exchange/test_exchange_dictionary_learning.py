"""dictionary_learning: every dictionary class, against dictionary_learning and against its formula in numpy."""

import importlib

import numpy as np
import pytest
import torch
from foreign_files import D, F, K, agrees, jump, relu, tokens, topk, weights, write

from crosslens.errors import InputError
from crosslens.sae.exchange.read import read_sae


def config(dict_class, **changes):
    trainer = {
        "dict_class": dict_class,
        "activation_dim": D,
        "dict_size": F,
        "layer": 8,
        "lm_name": "org/model",
        "submodule_name": "resid_post_layer_8",
        **changes,
    }
    return {"trainer": trainer, "buffer": {"d_submodule": D, "io": "out", "ctx_len": 128}}


def dictionary(folder, cfg, tensors):
    return write(folder, cfg, tensors, "ae.pt", "config.json")


def linear(w, **more):
    return {"encoder.weight": w["W_enc"].T, "decoder.weight": w["W_dec"].T, **more}


def topk_tensors(w, **more):
    k, threshold = np.array(K, dtype=np.int32), np.array(0.5, dtype=np.float32)
    return linear(
        w, **{"encoder.bias": w["b_enc"], "b_dec": w["b_dec"], "k": k, "threshold": threshold, **more}
    )


def test_standard_by_hand(tmp_path):
    """load_dictionary brings decoder rows to unit norm: codes are in units of the reconstruction."""
    w, x = weights(), tokens()
    tensors = linear(w, **{"encoder.bias": w["b_enc"], "bias": w["b_dec"]})
    foreign = read_sae(dictionary(tmp_path, config("AutoEncoder"), tensors))
    z = relu((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"])
    agrees(foreign, x, z * np.linalg.norm(w["W_dec"], axis=1), z @ w["W_dec"] + w["b_dec"])
    assert (foreign.site, foreign.model, foreign.trained_as) == ("8", "org/model", "AutoEncoder")


def test_new_by_hand(tmp_path):
    w, x = weights(), tokens()
    tensors = linear(w, **{"encoder.bias": w["b_enc"], "decoder.bias": w["b_dec"]})
    foreign = read_sae(dictionary(tmp_path, config("AutoEncoderNew"), tensors))
    z = relu(x @ w["W_enc"] + w["b_enc"])
    agrees(foreign, x, z, z @ w["W_dec"] + w["b_dec"])


def test_gated_by_hand(tmp_path):
    w, x = weights(r_mag=(F,), gate_bias=(F,), mag_bias=(F,)), tokens()
    more = {name: w[name] for name in ("r_mag", "gate_bias", "mag_bias")}
    foreign = read_sae(
        dictionary(tmp_path, config("GatedAutoEncoder"), linear(w, decoder_bias=w["b_dec"], **more))
    )
    y = (x - w["b_dec"]) @ w["W_enc"]
    z = (y + w["gate_bias"] > 0) * relu(np.exp(w["r_mag"]) * y + w["mag_bias"])
    agrees(foreign, x, z, z @ w["W_dec"] + w["b_dec"])


def test_jumprelu_by_hand(tmp_path):
    w, x = weights(), tokens()
    foreign = read_sae(dictionary(tmp_path, config("JumpReluAutoEncoder"), w))
    z = jump(x @ w["W_enc"] + w["b_enc"], w["threshold"])
    agrees(foreign, x, z, z @ w["W_dec"] + w["b_dec"])


def test_topk_by_hand(tmp_path):
    """Its threshold is for another way of encoding; by default it keeps the k largest."""
    w, x = weights(), tokens()
    foreign = read_sae(dictionary(tmp_path, config("AutoEncoderTopK", k=K), topk_tensors(w)))
    z = topk((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"])
    agrees(foreign, x, z, z @ w["W_dec"] + w["b_dec"])


@pytest.mark.parametrize("dict_class", ["BatchTopKSAE", "MatryoshkaBatchTopKSAE"])
def test_batch_topk_by_hand(tmp_path, dict_class):
    w, x = weights(), tokens()
    tensors = topk_tensors(w)
    if dict_class.startswith("M"):
        tensors = {name: w[name] for name in ("W_enc", "W_dec", "b_enc", "b_dec")} | {
            "k": tensors["k"],
            "threshold": tensors["threshold"],
            "group_sizes": np.array([8, 16]),
        }
    foreign = read_sae(dictionary(tmp_path, config(dict_class, k=K), tensors))
    z = jump((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"], np.full(F, 0.5))
    agrees(foreign, x, z, z @ w["W_dec"] + w["b_dec"])
    assert foreign.sae.architecture == "jumprelu" and "0.5" in foreign.notes[0]


@pytest.mark.parametrize("threshold", [-1.0, np.nan, np.inf, None])
def test_no_threshold(tmp_path, threshold):
    tensors = topk_tensors(weights())
    del tensors["threshold"]
    if threshold is not None:
        tensors["threshold"] = np.array(threshold, dtype=np.float32)
    with pytest.raises(InputError, match=r"ae\.pt: found threshold .*threshold_start_step"):
        read_sae(dictionary(tmp_path, config("BatchTopKSAE", k=K), tensors))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"dict_class": "CrossCoder"}, "dict_class 'CrossCoder'; expected .*BatchTopKSAE"),
        ({"dict_class": "AutoEncoder"}, "tensors .*expected .*'bias'"),
        ({"k": K + 1}, rf"k {K + 1}; expected k {K} of the weights"),
        ({"k": None}, "k None"),
        ({"dict_size": 2 * F}, r"expected .*\(48, 6\)"),
        ({"activation_dim": "6"}, "activation_dim '6'"),
    ],
)
def test_refused(tmp_path, changes, message):
    cfg = config(**{"dict_class": "AutoEncoderTopK", "k": K, **changes})
    with pytest.raises(InputError, match=message):
        read_sae(dictionary(tmp_path, cfg, topk_tensors(weights())))


def test_checkpoints_have_the_configuration_above_them(tmp_path):
    folder = dictionary(tmp_path, config("AutoEncoderTopK", k=K), topk_tensors(weights()))
    (folder / "checkpoints").mkdir()
    (folder / "ae.pt").rename(folder / "checkpoints" / "ae_100.pt")
    assert read_sae(folder / "checkpoints" / "ae_100.pt").sae.k == K


@pytest.mark.parametrize(
    "changes, io, site",
    [
        ({"submodule_name": "mlp_out_layer_8"}, "out", "8.mlp_out"),
        ({"submodule_name": None}, "out", None),
        ({"submodule_name": "resid_post_layer_8"}, "in", None),
        ({"submodule_name": "resid_post_layer_9"}, "out", None),
    ],
)
def test_site(tmp_path, changes, io, site):
    cfg = config("AutoEncoderTopK", k=K, **changes)
    cfg["buffer"]["io"] = io
    assert read_sae(dictionary(tmp_path, cfg, topk_tensors(weights()))).site == site


PEERS = {
    "AutoEncoder": "dictionary",
    "AutoEncoderNew": "dictionary",
    "GatedAutoEncoder": "dictionary",
    "JumpReluAutoEncoder": "dictionary",
    "AutoEncoderTopK": "trainers.top_k",
    "BatchTopKSAE": "trainers.batch_top_k",
    "MatryoshkaBatchTopKSAE": "trainers.matryoshka_batch_top_k",
}


@pytest.mark.parametrize("dict_class", PEERS)
def test_reads_what_dictionary_learning_saves(tmp_path, dict_class):
    pytest.importorskip("dictionary_learning")
    load_dictionary = importlib.import_module("dictionary_learning.utils").load_dictionary
    kind = getattr(importlib.import_module(f"dictionary_learning.{PEERS[dict_class]}"), dict_class)
    has_k = "TopK" in dict_class
    more = {"k": K} if has_k else {}
    if dict_class.startswith("Matryoshka"):
        more["group_sizes"] = [8, 16]
    theirs = kind(D, F, **more)
    generator = torch.Generator().manual_seed(3)
    for parameter in theirs.parameters():
        parameter.data.normal_(0, 0.4, generator=generator)
    if has_k:
        theirs.threshold.fill_(0.5)
    cfg = config(dict_class, **({"k": K} if has_k else {}))
    folder = dictionary(tmp_path, cfg, {name: value.numpy() for name, value in theirs.state_dict().items()})
    loaded, _ = load_dictionary(str(folder), "cpu")
    x = tokens()
    with torch.no_grad():
        z, x_hat = loaded.encode(torch.tensor(x)).numpy(), loaded(torch.tensor(x)).numpy()
    agrees(read_sae(folder), x, z, x_hat)
