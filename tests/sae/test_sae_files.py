"""SAEs on disk: what is written is what SAELens reads, and what is damaged is refused by name."""

import json

import numpy as np
import pytest
import torch
from sae_store import IDENTITY
from safetensors.numpy import load_file
from safetensors.torch import save_file

from crosslens.errors import InputError
from crosslens.sae.io import (
    check_site,
    check_width,
    hook_name,
    load_sae,
    sae_digest,
    sae_identity,
    sae_origin,
    save_sae,
    site_of,
)
from crosslens.sae.model import JumpReLUSAE, ReLUSAE, TopKSAE


def randomize(sae):
    generator = torch.Generator().manual_seed(0)
    for parameter in sae.parameters():
        parameter.data.normal_(generator=generator)
    return sae


@pytest.fixture
def sae():
    return randomize(TopKSAE(6, 24, 4))


@pytest.fixture
def folder(sae, tmp_path):
    save_sae(tmp_path / "sae", sae, identity=IDENTITY)
    return tmp_path / "sae"


def edit_config(folder, **changes):
    config = json.loads((folder / "cfg.json").read_text())
    (folder / "cfg.json").write_text(json.dumps({**config, **changes}))


def edit_weights(folder, **changes):
    weights = load_file(folder / "sae_weights.safetensors")
    save_file(
        {name: torch.tensor(value) for name, value in {**weights, **changes}.items()},
        folder / "sae_weights.safetensors",
    )


def test_round_trip(sae, folder):
    x = torch.randn(9, 6, generator=torch.Generator().manual_seed(1))
    assert torch.equal(load_sae(folder)(x), sae(x))
    assert sae_identity(folder) == IDENTITY


def test_same_sae_same_bytes(sae, folder, tmp_path):
    save_sae(tmp_path / "again", sae, identity=IDENTITY)
    for name in ("cfg.json", "sae_weights.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
    assert sae_digest(folder) == sae_digest(tmp_path / "again")
    sae.b_dec.data[0] += 1
    save_sae(tmp_path / "other", sae, identity=IDENTITY)
    assert sae_digest(folder) != sae_digest(tmp_path / "other")


def test_forward_is_the_saelens_formula(folder):
    """TopKSAE of SAELens 6 from the files alone, in numpy."""
    config, w = json.loads((folder / "cfg.json").read_text()), load_file(folder / "sae_weights.safetensors")
    assert (config["architecture"], config["normalize_activations"]) == ("topk", "none")
    assert config["apply_b_dec_to_input"] and not config["rescale_acts_by_decoder_norm"]
    x = np.random.default_rng(0).standard_normal((5, 6)).astype(np.float32)
    hidden = (x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]
    z = np.zeros_like(hidden)
    for row, values in enumerate(hidden):
        top = np.argsort(values)[-config["k"] :]
        z[row, top] = np.maximum(values[top], 0)
    sae = load_sae(folder)
    np.testing.assert_allclose(sae.encode_dense(torch.tensor(x)), z, atol=1e-6)
    np.testing.assert_allclose(sae(torch.tensor(x)), z @ w["W_dec"] + w["b_dec"], atol=1e-5)


def test_dense_and_sparse_forms_agree(sae):
    x = torch.randn(9, 6, generator=torch.Generator().manual_seed(1))
    z, (values, indices) = sae.encode_dense(x), sae.encode(x)
    assert values.shape == indices.shape == (9, 4) and (values >= 0).all()
    torch.testing.assert_close(z.gather(1, indices), values)
    assert ((z > 0).sum(1) == (values > 0).sum(1)).all()
    torch.testing.assert_close(sae.decode(values, indices), z @ sae.W_dec + sae.b_dec)


def test_fewer_positive_than_k():
    sae = TopKSAE(2, 4, 3)
    sae.W_enc.data[0, 0] = 1
    values, _ = sae.encode(torch.tensor([[2.0, 0.0], [-2.0, 0.0]]))
    assert values.tolist() == [[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    "site, name",
    [
        ("4", "blocks.4.hook_resid_post"),
        ("0.resid_pre", "blocks.0.hook_resid_pre"),
        ("12.mlp_out", "blocks.12.hook_mlp_out"),
    ],
)
def test_hook_name(site, name):
    assert hook_name(site) == name and site_of(name) == site


@pytest.mark.parametrize(
    "hook", [None, "blocks.4.attn.hook_z", "blocks.4.hook_mlp_in", "blocks.4.hook_mlp_outs"]
)
def test_a_hook_that_is_no_site(hook):
    assert site_of(hook) is None


def test_nan_is_refused(folder):
    edit_weights(folder, b_enc=np.full(24, np.nan, dtype=np.float32))
    with pytest.raises(InputError, match="24 NaN or infinite values in b_enc"):
        load_sae(folder)


def test_k_above_d_sae_is_refused(folder):
    edit_config(folder, k=25)
    with pytest.raises(InputError, match="k 25; expected at most d_sae = 24"):
        load_sae(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"architecture": "gated"},
        {"normalize_activations": "expected_average_only_in"},
        {"apply_b_dec_to_input": None},
        {"rescale_acts_by_decoder_norm": True},
        {"reshape_activations": "hook_z"},
        {"dtype": "bfloat16"},
        {"k": 0},
        {"d_in": None},
    ],
)
def test_another_kind_of_sae_is_refused(folder, change):
    edit_config(folder, **change)
    with pytest.raises(InputError, match=next(iter(change))):
        load_sae(folder)


@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "transcoder"])
def test_a_topk_sae_is_not_taken_for_another(folder, architecture):
    """Its weights fit a ReLU SAE: the k in its configuration is what gives it away."""
    edit_config(folder, architecture=architecture, d_out=6, apply_b_dec_to_input=architecture != "transcoder")
    with pytest.raises(InputError, match=f"k 4 in a {architecture} SAE"):
        load_sae(folder)


@pytest.mark.parametrize(
    "sae, name",
    [
        (ReLUSAE(6, 24), "standard"),
        (JumpReLUSAE(6, 24, normalize="layer_norm"), "jumprelu"),
        (TopKSAE(6, 24, 4, normalize="constant_norm_rescale", apply_b_dec_to_input=False), "topk"),
        (ReLUSAE(6, 24, 8, apply_b_dec_to_input=False), "transcoder"),
        (JumpReLUSAE(6, 24, 8, apply_b_dec_to_input=False, skip=True), "jumprelu_skip_transcoder"),
        (TopKSAE(6, 24, 4, 8, apply_b_dec_to_input=False, skip=True), "topk_skip_transcoder"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_kind_round_trips(tmp_path, sae, name):
    randomize(sae)
    target = "4.mlp_out" if "transcoder" in name else None
    save_sae(tmp_path, sae, identity=IDENTITY, trained_as="gated", target=target)
    assert json.loads((tmp_path / "cfg.json").read_text())["architecture"] == name
    assert sae_origin(tmp_path) == ("gated", target)
    x, read = torch.randn(9, 6, generator=torch.Generator().manual_seed(1)), load_sae(tmp_path)
    assert torch.equal(read(x), sae(x)) and torch.equal(read.encode_dense(x), sae.encode_dense(x))
    assert not any(parameter.requires_grad for parameter in read.parameters())


@pytest.mark.parametrize(
    "sae, target, message",
    [
        (TopKSAE(6, 24, 4, 8), None, "with its target"),
        (TopKSAE(6, 24, 4, skip=True), None, "with its target"),
        (TopKSAE(6, 24, 4), "4.mlp_out", "subtracts b_dec"),
        (TopKSAE(6, 24, 4, apply_b_dec_to_input=False, normalize="layer_norm"), "4.mlp_out", "normalises"),
    ],
)
def test_what_the_layout_cannot_say_is_not_written(tmp_path, sae, target, message):
    with pytest.raises(ValueError, match=message):
        save_sae(tmp_path / "sae", sae, identity=IDENTITY, target=target)
    assert not (tmp_path / "sae").exists()


def test_weights_that_are_not_what_the_configuration_says(folder):
    edit_config(folder, d_sae=32)
    with pytest.raises(InputError, match="expected.*32"):
        load_sae(folder)


def test_extra_tensor_is_refused(folder):
    edit_weights(folder, threshold=np.zeros(24, dtype=np.float32))
    with pytest.raises(InputError, match="threshold"):
        load_sae(folder)


def test_missing_files(folder):
    with pytest.raises(InputError, match="cfg.json: found no such file"):
        load_sae(folder / "nowhere")
    (folder / "sae_weights.safetensors").unlink()
    with pytest.raises(InputError, match="sae_weights.safetensors: found no such file"):
        load_sae(folder)


def test_pickled_weights_are_not_read(folder, sae):
    (folder / "sae_weights.safetensors").unlink()
    torch.save(sae.state_dict(), folder / "ae.pt")
    with pytest.raises(InputError, match=r"but ae\.pt.*pickled"):
        load_sae(folder)
    (folder / "ae.pt").rename(folder / "sae_weights.safetensors")
    with pytest.raises(InputError, match="no safetensors file"):
        load_sae(folder)


def test_width_and_site_are_checked(sae, folder):
    check_width(sae, 6, folder)
    with pytest.raises(InputError, match="width 6; expected width 8"):
        check_width(sae, 8, folder)
    check_site(folder, "4", model="toy", revision="1")
    with pytest.raises(InputError, match="expected.*'4.mlp_out'"):
        check_site(folder, "4.mlp_out")
    with pytest.raises(InputError, match="expected.*other"):
        check_site(folder, "4", model="other", revision="1")
