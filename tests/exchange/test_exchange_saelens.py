"""SAELens: every architecture and normalisation, read and written, against SAELens and against its formulas in numpy."""

import copy
import json

import numpy as np
import pytest
import torch
import transformers as hf
from foreign_files import D, F, K, agrees, jump, relu, tokens, topk, weights, write

from crosslens.errors import InputError
from crosslens.sae.exchange.adopt import adopt_sae
from crosslens.sae.exchange.read import read_sae
from crosslens.sae.io import load_sae, save_sae
from crosslens.sae.model import JumpReLUSAE, ReLUSAE, TopKSAE

IDENTITY = {"corpus": "joint", "site": "4.mlp_out", "seed": 0, "model": "m", "revision": "1"}
NORMALISATIONS = ("none", "layer_norm", "constant_norm_rescale")


def config(architecture, **changes):
    metadata = {"sae_lens_version": "6.54.12", "model_name": "gpt2", "hook_name": "blocks.3.hook_resid_pre"}
    return {
        "architecture": architecture,
        "d_in": D,
        "d_sae": F,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": metadata,
        **changes,
    }


def saelens(folder, cfg, tensors):
    return write(folder, cfg, tensors, "sae_weights.safetensors")


def plain(w, *more):
    return {name: w[name] for name in ("W_enc", "W_dec", "b_enc", "b_dec", *more)}


def test_standard_by_hand(tmp_path):
    w, x = weights(), tokens()
    foreign = read_sae(saelens(tmp_path, config("standard"), plain(w)))
    z = relu((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"])
    agrees(foreign, x, z, z @ w["W_dec"] + w["b_dec"])
    assert foreign[1:] == (
        "saelens",
        "standard",
        "3.resid_pre",
        "blocks.3.hook_resid_pre",
        "gpt2",
        False,
        None,
        (),
        ("3.resid_pre",),
        None,
    )


def test_jumprelu_without_b_dec_by_hand(tmp_path):
    w, x = weights(), tokens()
    foreign = read_sae(
        saelens(tmp_path, config("jumprelu", apply_b_dec_to_input=False), plain(w, "threshold"))
    )
    z = jump(x @ w["W_enc"] + w["b_enc"], w["threshold"])
    agrees(foreign, x, z, z @ w["W_dec"] + w["b_dec"])


@pytest.mark.parametrize("rescale", [False, True])
def test_topk_by_hand(tmp_path, rescale):
    """rescale_acts_by_decoder_norm decides which features are among the k: unfolded, the norms would change them."""
    w, x = weights(), tokens()
    cfg = config("topk", k=K, rescale_acts_by_decoder_norm=rescale)
    foreign = read_sae(saelens(tmp_path, cfg, plain(w)))
    norm = np.linalg.norm(w["W_dec"], axis=1) if rescale else np.ones(F)
    z = topk(((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]) * norm)
    agrees(foreign, x, z, (z / norm) @ w["W_dec"] + w["b_dec"])
    assert bool(foreign.notes) == rescale


def test_a_decoder_row_of_zeros_survives_rescaling(tmp_path):
    w = weights()
    w["W_dec"][5] = 0
    cfg = config("topk", k=K, rescale_acts_by_decoder_norm=True)
    sae, x = read_sae(saelens(tmp_path, cfg, plain(w))).sae, torch.tensor(tokens())
    assert sae(x).isfinite().all() and not sae.W_dec[5].any()


def test_gated_by_hand(tmp_path):
    w, x = weights(b_gate=(F,), b_mag=(F,), r_mag=(F,)), tokens()
    tensors = {name: w[name] for name in ("W_enc", "W_dec", "b_dec", "b_gate", "b_mag", "r_mag")}
    foreign = read_sae(saelens(tmp_path, config("gated"), tensors))
    y = (x - w["b_dec"]) @ w["W_enc"]
    z = (y + w["b_gate"] > 0) * relu(y * np.exp(w["r_mag"]) + w["b_mag"])
    agrees(foreign, x, z, z @ w["W_dec"] + w["b_dec"])
    assert (foreign.sae.architecture, foreign.trained_as) == ("jumprelu", "gated")


def test_gated_at_the_boundary(tmp_path):
    """Numbers that floats hold exactly: the gate at 0 and just above it, the magnitude at 0, and below an open gate."""
    cases = [  # b_gate, b_mag, y → z of r_mag = log 2
        (-1.0, 0.5, 1.0, 0.0),  # gate exactly 0: closed
        (-1.0, 0.5, 1.25, 3.0),  # just open
        (-1.0, 0.5, 0.75, 0.0),  # closed, though the magnitude is positive
        (2.0, -2.0, 1.0, 0.0),  # open, magnitude exactly 0
        (2.0, -2.0, 0.75, 0.0),  # open, magnitude below 0
        (2.0, -2.0, 1.25, 0.5),
        (-2.0, -4.0, 2.0, 0.0),  # both exactly 0
        (0.0, 0.0, 0.0, 0.0),
        (1.0, 1.0, -0.25, 0.5),  # threshold clamped at 0: open below y = 0
    ]
    b_gate, b_mag, y, expected = np.array(cases, dtype=np.float32).T
    n = len(cases)
    tensors = {
        "W_enc": np.eye(n, dtype=np.float32),
        "W_dec": np.eye(n, dtype=np.float32),
        "b_dec": np.zeros(n, dtype=np.float32),
        "b_gate": b_gate,
        "b_mag": b_mag,
        "r_mag": np.full(n, np.log(2), dtype=np.float32),
    }
    assert np.exp(tensors["r_mag"])[0] == 2
    foreign = read_sae(saelens(tmp_path, config("gated", d_in=n, d_sae=n), tensors))
    assert foreign.sae.encode_dense(torch.tensor(y)[None]).tolist() == [expected.tolist()]


@pytest.mark.parametrize("normalize", NORMALISATIONS[1:])
def test_normalisations_by_hand(tmp_path, normalize):
    w, x = weights(), tokens()
    foreign = read_sae(saelens(tmp_path, config("standard", normalize_activations=normalize), plain(w)))
    if normalize == "layer_norm":
        shift, scale = x.mean(1, keepdims=True), x.std(1, ddof=1, keepdims=True)
        seen = (x - shift) / (scale + 1e-5)
    else:
        shift, scale = 0, np.linalg.norm(x, axis=1, keepdims=True) / np.sqrt(D)
        seen = x / scale
    z = relu((seen - w["b_dec"]) @ w["W_enc"] + w["b_enc"])
    agrees(foreign, x, z, (z @ w["W_dec"] + w["b_dec"]) * scale + shift)


@pytest.mark.parametrize("on_disk", [True, False])
def test_expected_average_needs_its_factor(tmp_path, on_disk):
    w, x, factor = weights(), tokens(), 0.35
    cfg = config("standard", normalize_activations="expected_average_only_in")
    folder = saelens(tmp_path, cfg, plain(w))
    with pytest.raises(InputError, match="cfg.json: .*scaling factor None.*--scaling-factor"):
        read_sae(folder)
    with pytest.raises(InputError, match="scaling factor 0.0"):
        read_sae(folder, scaling_factor=0.0)
    if on_disk:
        (folder / "activation_scaler.json").write_text(json.dumps({"scaling_factor": factor}))
    foreign = read_sae(folder, scaling_factor=None if on_disk else factor)
    z = relu((x * factor - w["b_dec"]) @ w["W_enc"] + w["b_enc"])
    agrees(foreign, x, z, (z @ w["W_dec"] + w["b_dec"]) / factor)
    assert "0.35" in foreign.notes[0]


def test_a_factor_that_nothing_asks_for_is_refused(tmp_path):
    folder = saelens(tmp_path, config("standard"), plain(weights()))
    with pytest.raises(InputError, match="normalize_activations 'none'"):
        read_sae(folder, scaling_factor=0.35)


@pytest.mark.parametrize("jumps", [False, True])
@pytest.mark.parametrize("skip", [False, True])
def test_transcoders_by_hand(tmp_path, jumps, skip):
    """W_skip is (d_out, d_in) in SAELens' file."""
    w, x = weights(d_out=5, W_skip=(5, D)), tokens()
    name = f"{'jumprelu_' * jumps}{'skip_' * skip}transcoder"
    cfg = config(name, d_out=5, apply_b_dec_to_input=False)
    cfg["metadata"] |= {"hook_name": "blocks.3.hook_mlp_in", "hook_name_out": "blocks.3.hook_mlp_out"}
    foreign = read_sae(saelens(tmp_path, cfg, plain(w, *["threshold"] * jumps, *["W_skip"] * skip)))
    pre = x @ w["W_enc"] + w["b_enc"]
    z = jump(pre, w["threshold"]) if jumps else relu(pre)
    agrees(foreign, x, z, z @ w["W_dec"] + w["b_dec"] + (x @ w["W_skip"].T if skip else 0))
    assert (foreign.transcoder, foreign.site, foreign.target) == (True, None, "3.mlp_out")
    assert foreign.hook == "blocks.3.hook_mlp_in"


def test_parts_of_attention_are_no_site(tmp_path):
    cfg = config("standard", reshape_activations="hook_z")
    cfg["metadata"]["hook_name"] = "blocks.3.attn.hook_z"
    assert read_sae(saelens(tmp_path / "z", cfg, plain(weights()))).site is None
    cfg = config("standard")
    cfg["metadata"]["hook_head_index"] = 2
    assert read_sae(saelens(tmp_path / "head", cfg, plain(weights()))).site is None


def flat(**changes):
    """As in gpt2-small-res-jb."""
    return {
        "model_name": "gpt2-small",
        "hook_point": "blocks.8.hook_resid_pre",
        "hook_point_layer": 8,
        "hook_point_head_index": None,
        "d_in": D,
        "d_sae": F,
        "expansion_factor": 4,
        "dtype": "torch.float32",
        "device": "cuda",
        "prepend_bos": True,
        "l1_coefficient": 8e-05,
        **changes,
    }


def test_gpt2_small_res_jb_by_hand(tmp_path):
    w, x = weights(), tokens()
    foreign = read_sae(saelens(tmp_path, flat(), plain(w)))
    z = relu((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"])
    agrees(foreign, x, z, z @ w["W_dec"] + w["b_dec"])
    assert (foreign.format, foreign.site, foreign.model) == ("saelens before 6", "8.resid_pre", "gpt2-small")
    assert any("no architecture in cfg.json: 'standard'" in note for note in foreign.notes)


FLAT_TOPK = [
    {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": K}},
    {"architecture": "standard", "activation_fn": "topk", "activation_fn_kwargs": {"k": K}},
    {"architecture": "topk", "k": K},
]


@pytest.mark.parametrize("changes", FLAT_TOPK)
def test_flat_topk_is_no_relu(tmp_path, changes):
    w, x = weights(), tokens()
    foreign = read_sae(saelens(tmp_path, flat(**changes, apply_b_dec_to_input=False), plain(w)))
    z = topk(x @ w["W_enc"] + w["b_enc"])
    agrees(foreign, x, z, z @ w["W_dec"] + w["b_dec"])


def test_flat_gated_and_flat_scaling_factors(tmp_path):
    w, x = weights(scaling_factor=(F,)), tokens()
    z = relu((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"])
    cfg = flat(finetuning_scaling_factor=True)
    foreign = read_sae(saelens(tmp_path / "a", cfg, plain(w, "scaling_factor")))
    agrees(foreign, x, z, (z * w["scaling_factor"]) @ w["W_dec"] + w["b_dec"])
    with pytest.raises(InputError, match="finetuning_scaling_factor None"):
        read_sae(saelens(tmp_path / "b", flat(), plain(w, "scaling_factor")))
    ones = plain(w) | {"scaling_factor": np.ones(F, dtype=np.float32)}
    agrees(read_sae(saelens(tmp_path / "c", flat(), ones)), x, z, z @ w["W_dec"] + w["b_dec"])


def test_half_precision_is_read_as_float32(tmp_path):
    w, x = {name: value.astype(np.float16) for name, value in weights().items()}, tokens()
    foreign = read_sae(saelens(tmp_path, config("standard", dtype="float16"), plain(w)))
    w = {name: value.astype(np.float32) for name, value in w.items()}
    z = relu((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"])
    agrees(foreign, x, z, z @ w["W_dec"] + w["b_dec"])


def test_our_own_folders_are_read(tmp_path):
    sae = randomized(TopKSAE(D, F, K))
    save_sae(tmp_path, sae, identity=IDENTITY, trained_as="matryoshka")
    foreign, x = read_sae(tmp_path), torch.tensor(tokens())
    assert foreign[1:] == (
        *("crosslens", "matryoshka", "4.mlp_out", "blocks.4.hook_mlp_out", "m", False, None, (), None, "1"),
    )
    assert torch.equal(foreign.sae(x), sae(x))


def randomized(sae):
    generator = torch.Generator().manual_seed(3)
    for parameter in sae.parameters():
        parameter.data.normal_(0, 0.4, generator=generator)
    return sae


@pytest.fixture
def sae_lens():
    return pytest.importorskip("sae_lens")


PEERS = [
    *(("standard", {"normalize_activations": normalize}) for normalize in NORMALISATIONS),
    *(("topk", {"k": K, "rescale_acts_by_decoder_norm": rescale}) for rescale in (False, True)),
    ("topk", {"k": K, "normalize_activations": "layer_norm", "apply_b_dec_to_input": False}),
    ("jumprelu", {}),
    ("jumprelu", {"apply_b_dec_to_input": False, "normalize_activations": "constant_norm_rescale"}),
    ("gated", {}),
    ("gated", {"normalize_activations": "layer_norm", "apply_b_dec_to_input": False}),
    *(
        (name, {"d_out": 5, "apply_b_dec_to_input": False})
        for name in ("transcoder", "skip_transcoder", "jumprelu_transcoder", "jumprelu_skip_transcoder")
    ),
]


@pytest.mark.parametrize("architecture, changes", PEERS)
def test_reads_what_saelens_saves(sae_lens, tmp_path, architecture, changes):
    theirs = randomized(sae_lens.SAE.from_dict(config(architecture, **changes)))
    theirs.save_model(tmp_path)
    foreign, x = read_sae(tmp_path), tokens()
    with torch.no_grad():
        z, x_hat = theirs.encode(torch.tensor(x)), theirs(torch.tensor(x))
    agrees(foreign, x, z.numpy(), x_hat.numpy())
    assert (foreign.trained_as, foreign.model) == (architecture, "gpt2")


@pytest.mark.parametrize(
    "architecture, changes",
    [("jumprelu", {}), ("gated", {}), ("topk", {"k": K, "rescale_acts_by_decoder_norm": True})],
)
def test_folds_the_factor_as_saelens_does(sae_lens, tmp_path, architecture, changes):
    cfg = config(architecture, normalize_activations="expected_average_only_in", **changes)
    theirs = randomized(sae_lens.SAE.from_dict(cfg))
    theirs.save_model(tmp_path)
    foreign, x = read_sae(tmp_path, scaling_factor=0.35), tokens()
    theirs.fold_activation_norm_scaling_factor(0.35)
    with torch.no_grad():
        agrees(foreign, x, theirs.encode(torch.tensor(x)).numpy(), theirs(torch.tensor(x)).numpy())


@pytest.mark.parametrize("changes", [{}, *FLAT_TOPK])
def test_reads_flat_configurations_as_saelens_does(sae_lens, tmp_path, changes):
    # SAELens 6 asks for the dtype's name without its module
    saelens(tmp_path, flat(**changes, dtype="float32"), plain(weights()))
    theirs, x = sae_lens.SAE.load_from_disk(tmp_path), tokens()
    with torch.no_grad():
        z, x_hat = theirs.encode(torch.tensor(x)).numpy(), theirs(torch.tensor(x)).numpy()
    agrees(read_sae(tmp_path), x, z, x_hat)


def test_reads_the_batchtopk_inference_model_of_saelens(sae_lens, tmp_path):
    """Its trainer folds decoder norms and a running threshold into a jumprelu SAE."""
    cfg = sae_lens.BatchTopKTrainingSAEConfig(d_in=D, d_sae=F, k=K, rescale_acts_by_decoder_norm=True)
    training = randomized(sae_lens.BatchTopKTrainingSAE(cfg))
    training.topk_threshold = torch.tensor(0.4, dtype=torch.double)
    training.save_inference_model(tmp_path)
    theirs, x = sae_lens.SAE.load_from_disk(tmp_path), tokens()
    with torch.no_grad():
        z, x_hat = theirs.encode(torch.tensor(x)).numpy(), theirs(torch.tensor(x)).numpy()
    foreign = read_sae(tmp_path)
    agrees(foreign, x, z, x_hat)
    assert foreign.sae.architecture == "jumprelu"


OURS = [
    *(
        kind(**sizes, normalize=normalize, apply_b_dec_to_input=apply)
        for kind, sizes in (
            (ReLUSAE, {"d_in": D, "d_sae": F}),
            (TopKSAE, {"d_in": D, "d_sae": F, "k": K}),
            (JumpReLUSAE, {"d_in": D, "d_sae": F}),
        )
        for normalize, apply in zip(NORMALISATIONS, (True, False, True), strict=True)
    ),
    *(
        kind(D, F, 5, apply_b_dec_to_input=False, skip=skip)
        for kind in (ReLUSAE, JumpReLUSAE)
        for skip in (False, True)
    ),
]


@pytest.mark.parametrize("sae", OURS, ids=lambda sae: f"{sae.architecture}-{sae.normalize}-{sae.d_out}")
def test_saelens_reads_what_we_save(sae_lens, tmp_path, sae):
    randomized(sae)
    target = "4.mlp_out" if sae.d_out != D else None
    save_sae(tmp_path, sae, identity=IDENTITY, target=target)
    theirs, x = sae_lens.SAE.load_from_disk(tmp_path), torch.tensor(tokens())
    with torch.no_grad():
        torch.testing.assert_close(theirs.encode(x), sae.encode_dense(x), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(theirs(x), sae(x), rtol=1e-5, atol=1e-5)
    assert theirs.cfg.metadata.hook_name == "blocks.4.hook_mlp_out"
    assert theirs.cfg.metadata.hook_name_out == (target and "blocks.4.hook_mlp_out")


def test_saelens_refuses_our_topk_transcoders(sae_lens, tmp_path):
    """It has none: better an error there than a ReLU."""
    sae = randomized(TopKSAE(D, F, K, 5, apply_b_dec_to_input=False))
    save_sae(tmp_path, sae, identity=IDENTITY, target="4.mlp_out")
    with pytest.raises(KeyError, match="topk_transcoder"):
        sae_lens.SAE.load_from_disk(tmp_path)


def _centred_gpt2(raw: hf.GPT2Model) -> hf.GPT2Model:
    """As TransformerLens' center_writing_weights: whatever writes to the stream, less its mean over channels."""
    model = copy.deepcopy(raw)
    writes = [model.wte.weight, model.wpe.weight]
    for block in model.h:
        for projection in (block.attn.c_proj, block.mlp.c_proj):
            writes += [projection.weight, projection.bias]
    with torch.no_grad():
        for tensor in writes:
            tensor -= tensor.mean(-1, keepdim=True)
    return model


@pytest.mark.parametrize("said", [True, False])
def test_an_sae_of_centred_residuals_reads_those_of_the_model_as_it_is(tmp_path, said):
    """Known of the files, or told by the study; against a GPT-2 whose weights are centred, which says the same."""
    torch.manual_seed(0)
    raw = hf.GPT2Model(hf.GPT2Config(n_embd=D, n_layer=3, n_head=2, vocab_size=50, n_positions=32)).eval()
    with torch.no_grad():
        for tensor in raw.parameters():  # far from centred
            tensor += 0.3 * torch.randn(tensor.shape[-1]) + 0.2
        ids = torch.randint(50, (4, 9))
        seen = raw(ids, output_hidden_states=True)
        theirs = _centred_gpt2(raw)(ids, output_hidden_states=True)
    x, centred = (of.hidden_states[2].flatten(0, 1) for of in (seen, theirs))
    mean = x.mean(-1, keepdim=True)
    assert mean.abs().max() > 0.5
    torch.testing.assert_close(x - mean, centred, rtol=1e-3, atol=1e-3)
    # LayerNorm does not see the mean: what the model says is the same
    torch.testing.assert_close(seen.last_hidden_state, theirs.last_hidden_state, rtol=1e-3, atol=1e-3)

    w, cfg = weights(), config("standard")
    cfg["metadata"] |= {"hook_name": "blocks.2.hook_resid_pre", "model_name": "gpt2"}
    if said:
        cfg["metadata"]["model_from_pretrained_kwargs"] = {"center_writing_weights": True}
    identity = {"corpus": "others", "site": "2.resid_pre", "seed": 0, "model": "gpt2", "revision": ""}
    adopt_sae(
        str(saelens(tmp_path / "theirs", cfg, plain(w))),
        tmp_path / "ours",
        identity=identity,
        centre=None if said else True,
    )
    sae = load_sae(tmp_path / "ours")
    y = centred.numpy()
    z = relu((y - w["b_dec"]) @ w["W_enc"] + w["b_enc"])
    np.testing.assert_allclose(sae.encode_dense(x), z, rtol=1e-3, atol=2e-3)
    # what they reconstruct, and the mean that is in the model as it is
    np.testing.assert_allclose(sae(x) - mean, z @ w["W_dec"] + w["b_dec"], rtol=1e-3, atol=5e-3)
    whole = load_sae(tmp_path / "ours")
    whole.normalize = "none"
    assert (whole.encode_dense(x) - torch.from_numpy(z)).abs().max() > 0.1


def test_of_a_model_of_rms_norms_the_mean_is_never_taken_off(tmp_path):
    """TransformerLens leaves it there, whatever it was asked for, and the files tell of what was asked."""
    w, cfg = weights(), config("standard")
    cfg["metadata"] |= {"hook_name": "blocks.2.hook_resid_pre", "model_name": "gemma"}
    cfg["metadata"]["model_from_pretrained_kwargs"] = {"center_writing_weights": True}
    identity = {"corpus": "others", "site": "2.resid_pre", "seed": 0, "model": "gemma", "revision": ""}
    source = str(saelens(tmp_path / "theirs", cfg, plain(w)))
    adopt_sae(source, tmp_path / "ours", identity=identity, centre=False)
    x = tokens() + 3
    z = relu((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"])
    np.testing.assert_allclose(
        load_sae(tmp_path / "ours").encode_dense(torch.from_numpy(x)), z, rtol=1e-4, atol=1e-4
    )


def test_a_norm_that_the_mean_is_part_of_is_not_centred(tmp_path):
    cfg = config("standard", normalize_activations="constant_norm_rescale")
    cfg["metadata"]["model_from_pretrained_kwargs"] = {"center_writing_weights": True}
    with pytest.raises(InputError, match="constant_norm_rescale"):
        read_sae(saelens(tmp_path, cfg, plain(weights())))
    cfg = config("standard", normalize_activations="layer_norm")
    cfg["metadata"]["model_from_pretrained_kwargs"] = {"center_writing_weights": True}
    assert read_sae(saelens(tmp_path, cfg, plain(weights()))).sae.normalize == "layer_norm"
