"""sparsify: read and written, against sparsify and against its formula in numpy."""

import json

import numpy as np
import pytest
import torch
from foreign_files import D, F, K, agrees, tokens, topk, weights, write

from crosslens.errors import InputError
from crosslens.sae.exchange.read import read_sae
from crosslens.sae.exchange.sparsify import write_sparsify
from crosslens.sae.model import JumpReLUSAE, TopKSAE


def config(**changes):
    return {
        "activation": "topk",
        "expansion_factor": 32,
        "normalize_decoder": True,
        "num_latents": F,
        "k": K,
        "multi_topk": False,
        "skip_connection": False,
        "transcode": False,
        "d_in": D,
        **changes,
    }


def tensors(w, skip=False):
    named = {
        "encoder.weight": w["W_enc"].T,
        "encoder.bias": w["b_enc"],
        "W_dec": w["W_dec"],
        "b_dec": w["b_dec"],
    }
    return named | ({"W_skip": w["W_skip"]} if skip else {})


def sparsify_folder(folder, cfg, named):
    return write(folder, cfg, named, "sae.safetensors")


@pytest.mark.parametrize("transcode", [False, True])
@pytest.mark.parametrize("skip", [False, True])
def test_by_hand(tmp_path, transcode, skip):
    w, x = weights(W_skip=(D, D)), tokens()
    cfg = config(transcode=transcode, skip_connection=skip)
    foreign = read_sae(sparsify_folder(tmp_path / "layers.5", cfg, tensors(w, skip)))
    z = topk((x if transcode else x - w["b_dec"]) @ w["W_enc"] + w["b_enc"])
    agrees(foreign, x, z, z @ w["W_dec"] + w["b_dec"] + (x @ w["W_skip"].T if skip else 0))
    assert foreign.transcoder == (transcode or skip)
    assert (foreign.site, foreign.target) == (
        "5.resid_pre" if transcode else "5",
        "5" if transcode or skip else None,
    )
    assert foreign.sae.architecture == "topk" and foreign.sae.k == K


def test_old_configurations(tmp_path):
    """Of before activation, transcode and skip_connection: TopK, which was all there was."""
    w, x = weights(), tokens()
    cfg = {
        "expansion_factor": F // D,
        "normalize_decoder": True,
        "num_latents": 0,
        "k": K,
        "d_in": D,
        "signed": False,
    }
    foreign = read_sae(sparsify_folder(tmp_path, cfg, tensors(w)))
    z = topk((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"])
    agrees(foreign, x, z, z @ w["W_dec"] + w["b_dec"])


@pytest.mark.parametrize(
    "hook, site",
    [
        ("layers.17", "17"),
        ("model.layers.17", "17"),
        ("transformer.h.3", "3"),
        ("layers.17.mlp", None),
        ("embed_tokens", None),
        ("sae", None),
    ],
)
def test_site_of_the_hookpoint(tmp_path, hook, site):
    (tmp_path / "config.json").write_text(json.dumps({"model": "org/model", "sae": {}}))
    foreign = read_sae(sparsify_folder(tmp_path / hook, config(), tensors(weights())))
    said = None if hook == "sae" else hook  # a folder may be called anything
    assert (foreign.site, foreign.hook, foreign.model) == (site, said, "org/model")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"activation": "groupmax"}, "activation 'groupmax'; expected activation 'topk'"),
        ({"signed": True}, "signed True"),
        ({"k": F + 1}, f"k {F + 1}; expected at most d_sae = {F}"),
        ({"k": None}, "k None"),
        ({"num_latents": F + 1}, r"encoder.weight': \(25, 6\)"),
        ({"skip_connection": True}, "W_skip"),
        ({"d_in": None}, "d_in None"),
    ],
)
def test_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        read_sae(sparsify_folder(tmp_path, config(**changes), tensors(weights())))


def test_an_encoder_alone_is_refused(tmp_path):
    named = tensors(weights())
    del named["W_dec"]
    with pytest.raises(InputError, match=r"sae\.safetensors: found tensors .*expected .*W_dec"):
        read_sae(sparsify_folder(tmp_path, config(), named))


def ours(**options):
    sae = TopKSAE(D, F, K, **options)
    generator = torch.Generator().manual_seed(3)
    for parameter in sae.parameters():
        parameter.data.normal_(0, 0.4, generator=generator)
    return sae


OURS = [
    {},
    {"apply_b_dec_to_input": False},
    {"skip": True},
    {"apply_b_dec_to_input": False, "skip": True},
]


@pytest.mark.parametrize("options", OURS)
def test_what_we_write_reads_back(tmp_path, options):
    sae = ours(**options)
    write_sparsify(tmp_path / "layers.2", sae)
    x = tokens()
    agrees(
        read_sae(tmp_path / "layers.2"),
        x,
        sae.encode_dense(torch.tensor(x)).numpy(),
        sae(torch.tensor(x)).numpy(),
    )


@pytest.mark.parametrize(
    "sae, message",
    [
        (JumpReLUSAE(D, F), "activation jumprelu"),
        (TopKSAE(D, F, K, normalize="layer_norm"), "normalisation layer_norm"),
        (TopKSAE(D, F, K, 8), "6 inputs and 8 outputs"),
    ],
)
def test_what_sparsify_does_not_know_is_not_written(tmp_path, sae, message):
    with pytest.raises(InputError, match=message):
        write_sparsify(tmp_path / "out", sae)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def sparsify():
    return pytest.importorskip("sparsify")


def of_sparsify(theirs, x):
    """(dense codes, reconstructions) of a SparseCoder."""
    with torch.no_grad():
        top = theirs.encode(x)
        z = torch.zeros_like(top.pre_acts).scatter(-1, top.top_indices, top.top_acts)
        return z.numpy(), theirs(x).sae_out.numpy()


@pytest.mark.parametrize("transcode", [False, True])
@pytest.mark.parametrize("skip", [False, True])
def test_reads_what_sparsify_saves(sparsify, tmp_path, transcode, skip):
    cfg = sparsify.SparseCoderConfig(num_latents=F, k=K, transcode=transcode, skip_connection=skip)
    theirs = sparsify.SparseCoder(D, cfg)
    generator = torch.Generator().manual_seed(3)
    for parameter in theirs.parameters():
        parameter.data.normal_(0, 0.4, generator=generator)
    theirs.save_to_disk(tmp_path)
    x = tokens()
    agrees(read_sae(tmp_path), x, *of_sparsify(theirs, torch.tensor(x)))


@pytest.mark.parametrize("options", OURS)
def test_sparsify_reads_what_we_write(sparsify, tmp_path, options):
    sae, x = ours(**options), torch.tensor(tokens())
    write_sparsify(tmp_path, sae)
    z, x_hat = of_sparsify(sparsify.SparseCoder.load_from_disk(tmp_path), x)
    np.testing.assert_allclose(sae.encode_dense(x), z, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(sae(x), x_hat, rtol=1e-5, atol=1e-5)
