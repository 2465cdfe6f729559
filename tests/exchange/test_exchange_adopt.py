"""What a study takes for an SAE of its site and model, by what the files of each tool say."""

import json

import pytest
from foreign_files import D, F, K, weights, write

from crosslens.errors import InputError
from crosslens.sae.exchange.adopt import adopt_sae
from crosslens.sae.exchange.convert import convert_sae
from crosslens.sae.exchange.names import same_model
from crosslens.sae.exchange.read import read_sae
from crosslens.sae.exchange.said import refusals, said_in
from crosslens.sae.io import sae_identity

SITES = ("4", "4.resid_pre", "4.attn_out", "4.mlp_out", "5", "5.resid_pre", "5.mlp_out")
IDENTITY = {"corpus": "joint", "seed": 0, "model": "org/model", "revision": "1"}


def saelens(folder, hook, model="org/model", said=(), **changes):
    metadata = {"sae_lens_version": "6.54.12", "model_name": model, "hook_name": hook} | dict(said)
    config = {"architecture": "standard", "d_in": D, "d_sae": F, "dtype": "float32", "device": "cpu"}
    config |= {"apply_b_dec_to_input": True, "normalize_activations": "none", "reshape_activations": "none"}
    tensors = {name: value for name, value in weights().items() if name != "threshold"}
    return write(
        folder / "sae", config | {"metadata": metadata} | changes, tensors, "sae_weights.safetensors"
    )


def flat(folder, hook, **changes):
    config = {"model_name": "org/model", "hook_point": hook, "d_in": D, "d_sae": F, **changes}
    tensors = {name: value for name, value in weights().items() if name != "threshold"}
    return write(folder / "sae", config, tensors, "sae_weights.safetensors")


def sparsify(folder, hook, run=None, **changes):
    config = {
        "expansion_factor": 4,
        "num_latents": F,
        "k": K,
        "d_in": D,
        "normalize_decoder": True,
        **changes,
    }
    w = weights(W_skip=(D, D))
    tensors = {
        "encoder.weight": w["W_enc"].T,
        "encoder.bias": w["b_enc"],
        "W_dec": w["W_dec"],
        "b_dec": w["b_dec"],
    }
    tensors |= {"W_skip": w["W_skip"]} if changes.get("skip_connection") else {}
    if run is not None:
        (folder / "config.json").write_text(json.dumps(run))
    return write(folder / hook, config, tensors, "sae.safetensors")


def dictionary(folder, hook, layer=None, io="out", **changes):
    trainer = {
        "trainer_class": "StandardTrainer",
        "dict_class": "AutoEncoder",
        "activation_dim": D,
        "dict_size": F,
    }
    trainer |= {"layer": layer, "lm_name": "org/model", "submodule_name": hook, **changes}
    w = weights()
    tensors = {"encoder.weight": w["W_enc"].T, "encoder.bias": w["b_enc"], "decoder.weight": w["W_dec"].T}
    config = {"trainer": trainer, "buffer": {"d_submodule": D, "io": io}}
    return write(folder / "sae", config, tensors | {"bias": w["b_dec"]}, "ae.pt", "config.json")


def scope_1(folder, place):
    return write(folder / place, None, weights(), "params.npz")


def scope_2(folder, hook, **changes):
    w = weights()
    tensors = {"w_enc": w["W_enc"], "w_dec": w["W_dec"]} | {k: w[k] for k in ("b_enc", "b_dec", "threshold")}
    config = {
        "architecture": "jump_relu",
        "width": F,
        "hf_hook_point_in": hook,
        "model_name": None,
        **changes,
    }
    return write(folder / "sae", config, tensors, "params.safetensors", "config.json")


HEAD, Z = {"said": {"hook_head_index": 3}}, {"reshape_activations": "hook_z"}
SCOPE, NORM = "gemma-scope-2b-pt-{}/layer_4/width_16k/average_l0_5", "model.layers.4.{}_layernorm.output"
SAID = [
    (saelens, "blocks.4.hook_resid_post", {}, ["4"]),
    (saelens, "blocks.4.hook_resid_pre", {}, ["4.resid_pre"]),
    (saelens, "blocks.4.hook_attn_out", {}, ["4.attn_out"]),
    (saelens, "blocks.4.hook_mlp_out", {}, ["4.mlp_out"]),
    (saelens, "blocks.4.hook_out", {}, ["4"]),
    (saelens, "blocks.4.hook_in", {}, ["4.resid_pre"]),
    (saelens, "blocks.4.hook_resid_mid", {}, []),
    (saelens, "blocks.4.attn.hook_z", {}, []),
    (saelens, "blocks.4.attn.hook_z", Z, []),
    (saelens, "blocks.4.attn.hook_result", {}, []),
    (saelens, "blocks.4.attn.hook_q", {}, []),
    (saelens, "blocks.4.attn.hook_pattern", {}, []),
    (saelens, "blocks.4.hook_attn_out", HEAD, []),
    (saelens, "blocks.4.hook_resid_post", HEAD, []),
    (saelens, "blocks.4.ln1.hook_normalized", {}, []),
    (saelens, "blocks.4.ln2.hook_normalized", {}, []),
    (saelens, "blocks.4.ln2.hook_scale", {}, []),
    (saelens, "blocks.4.hook_mlp_in", {}, []),
    (saelens, "blocks.4.mlp.hook_in", {}, []),
    (saelens, "blocks.4.mlp.hook_pre", {}, []),
    (saelens, "blocks.4.mlp.hook_post", {}, []),
    (saelens, "hook_embed", {}, []),
    (saelens, "hook_pos_embed", {}, []),
    (saelens, "ln_final.hook_normalized", {}, []),
    (saelens, "model.layers.4", {}, ["4"]),
    (saelens, "model.language_model.layers.4.output", {}, ["4"]),
    (saelens, "transformer.h.4", {}, ["4"]),
    (saelens, "gpt_neox.layers.4", {}, ["4"]),
    (saelens, "model.layers.4.input", {}, ["4.resid_pre"]),
    (saelens, "model.layers.4.mlp", {}, ["4.mlp_out"]),
    (saelens, "model.layers.4.mlp.down_proj", {}, []),
    (saelens, "model.layers.4.self_attn.o_proj.input", {}, []),
    (saelens, "model.vision_tower.encoder.layers.4", {}, []),
    (saelens, "visual.blocks.4", {}, []),
    (saelens, "model.embed_tokens", {}, []),
    (saelens, "model.norm", {}, []),
    (saelens, "somewhere", {}, []),
    (saelens, ["blocks.4.hook_resid_post", "blocks.9.hook_resid_post"], {}, []),
    (saelens, "blocks.4.hook_resid_post", {"model": ["org/model", "org/other"]}, []),
    (saelens, None, {"said": {"hook_names": ["blocks.4.hook_resid_post", "blocks.9.hook_resid_post"]}}, []),
    (saelens, None, {}, SITES),
    (flat, "blocks.4.hook_resid_pre", {}, ["4.resid_pre"]),
    (flat, "blocks.{layer}.hook_resid_pre", {"hook_point_layer": 4}, ["4.resid_pre"]),
    (flat, "blocks.4.attn.hook_z", {"hook_point_head_index": 2}, []),
    (flat, "blocks.4.hook_resid_post", {"hook_point_layer": 5}, []),
    (flat, "blocks.4.hook_resid_post", {"hook_point_layer": "5"}, []),
    (sparsify, "layers.4", {}, ["4"]),
    (sparsify, "model.layers.4", {}, ["4"]),
    (sparsify, "h.4", {}, ["4"]),
    (sparsify, "layers.4", {"run": {"hook_mode": "input"}}, ["4.resid_pre"]),
    (sparsify, "layers.4.mlp", {}, ["4.mlp_out"]),
    (sparsify, "layers.4.self_attn", {}, ["4.attn_out"]),
    (sparsify, "layers.4.mlp", {"run": {"model": "google/gemma-2-2b"}}, []),
    (sparsify, "layers.4.mlp.act", {}, []),
    (sparsify, "layers.4.post_attention_layernorm", {}, []),
    (sparsify, "embed_tokens", {}, []),
    (sparsify, "my sae", {}, SITES),
    (dictionary, "resid_post_layer_4", {"layer": 4}, ["4"]),
    (dictionary, "mlp_out_layer_4", {"layer": 4}, ["4.mlp_out"]),
    (dictionary, "attn_out_layer_4", {}, ["4.attn_out"]),
    (dictionary, "resid_post_layer_4", {"layer": 5}, []),
    (dictionary, "resid_post_layer_4", {"io": "in"}, []),
    (dictionary, "gpt_neox.layers.4", {}, ["4"]),
    (dictionary, "gpt_neox.layers.4", {"io": "in"}, ["4.resid_pre"]),
    (dictionary, "attn_head_3", {"layer": 4}, []),
    (dictionary, None, {"layer": 4}, ["4", "4.resid_pre", "4.attn_out", "4.mlp_out"]),
    (dictionary, None, {}, SITES),
    (scope_1, SCOPE.format("att"), {}, []),
    (scope_1, "layer_4", {}, SITES),
    (scope_2, "model.layers.4.output", {}, ["4"]),
    (scope_2, NORM.format("post_feedforward"), {}, ["4.mlp_out"]),
    (scope_2, NORM.format("post_attention"), {}, ["4.attn_out"]),
    (scope_2, NORM.format("pre_feedforward"), {}, []),
    (scope_2, "model.layers.4.self_attn.o_proj.input", {}, []),
]


def known_before(source, site, **identity):
    """What is refused before anything runs, of the files beside the weights alone."""
    said = said_in(source)
    of = {"models": [IDENTITY["model"]], "revision": IDENTITY["revision"], "site": site} | identity
    return [] if said is None else [found for found, _, _ in refusals(said, **of)]


def adopted(source, out, site):
    """Whether it is; that it is not must be known before anything runs."""
    before = known_before(source, site)
    try:
        adopt_sae(str(source), out, identity=IDENTITY | {"site": site})
    except InputError as error:
        assert "site" in str(error) or "model" in str(error) or "layer" in str(error), error
        assert before, error
        return False
    assert not before
    return True


@pytest.mark.parametrize(("tool", "hook", "options", "right"), SAID)
def test_an_sae_is_adopted_only_where_its_files_say_or_leave_open(tmp_path, tool, hook, options, right):
    source = tool(tmp_path, hook, **options)
    assert [site for site in SITES if adopted(source, tmp_path / f"at {site}", site)] == list(right)
    for site in right:
        assert sae_identity(tmp_path / f"at {site}")["site"] == site


def test_what_is_no_known_name_can_be_said_by_hand_and_what_is_elsewhere_cannot(tmp_path):
    unknown, elsewhere = saelens(tmp_path / "a", "somewhere"), saelens(tmp_path / "b", "blocks.4.attn.hook_z")
    with pytest.raises(InputError, match="'somewhere'.*convert it with `crosslens sae convert … --site 4`"):
        adopt_sae(str(unknown), tmp_path / "out", identity=IDENTITY | {"site": "4"})
    convert_sae(unknown, tmp_path / "ours", site="4")
    assert adopted(tmp_path / "ours", tmp_path / "4", "4") and not adopted(
        tmp_path / "ours", tmp_path / "5", "5"
    )
    with pytest.raises(InputError, match=r"no such site \(blocks.4.attn.hook_z\); expected site 4.attn_out"):
        convert_sae(elsewhere, tmp_path / "theirs", site="4.attn_out")


def test_what_an_mlp_gives_out_is_added_after_a_norm_in_gemma(tmp_path):
    source = sparsify(tmp_path, "layers.4.mlp")
    adopt_sae(str(source), tmp_path / "out", identity=IDENTITY | {"site": "4.mlp_out"})
    with pytest.raises(InputError, match=r"'layers\.4\.mlp', which is no known name of a site of this model"):
        adopt_sae(
            str(source),
            tmp_path / "theirs",
            identity=IDENTITY | {"site": "4.mlp_out", "model": "google/gemma-2-2b"},
        )


@pytest.mark.parametrize("tool", ["saelens", "sparsify"])
@pytest.mark.parametrize(("said", "right"), [("step1000", False), ("main", True), (None, True), ("1", True)])
def test_a_checkpoint_of_the_model_that_is_said_is_the_studys(tmp_path, tool, said, right):
    if tool == "saelens":
        kwargs = {"model_from_pretrained_kwargs": {"revision": said}}
        source = saelens(tmp_path, "blocks.4.hook_resid_post", said=kwargs)
    else:
        source = sparsify(tmp_path, "layers.4", run={"revision": said})
    assert adopted(source, tmp_path / "out", "4") == right
    convert_sae(source, tmp_path / "ours", model="org/model")
    convert_sae(source, tmp_path / "elsewhere", model="org/model", revision="2")
    assert adopted(tmp_path / "ours", tmp_path / "by hand", "4")
    assert not adopted(tmp_path / "elsewhere", tmp_path / "of another", "4")


OUT, MLP_IN = "blocks.4.hook_mlp_out", "blocks.4.ln2.hook_normalized"
TRANSCODERS = {
    "named": lambda f: saelens(f, MLP_IN, said={"hook_name_out": OUT}, architecture="transcoder", d_out=D,
                               apply_b_dec_to_input=False),
    "hook_name_out": lambda f: saelens(f, "blocks.4.hook_resid_post", said={"hook_name_out": OUT}),
    "flat, is_transcoder": lambda f: flat(f, "blocks.4.hook_resid_post", is_transcoder=True),
    "flat, out_hook_point": lambda f: flat(f, "blocks.4.hook_resid_post", out_hook_point=OUT),
    "flat, d_out": lambda f: flat(f, "blocks.4.hook_resid_post", d_out=D + 2),
    "sparsify": lambda f: sparsify(f, "layers.4", transcode=True),
    "sparsify, skip": lambda f: sparsify(f, "layers.4", skip_connection=True),
    "sparsify's run": lambda f: sparsify(f, "layers.4", run={"transcode": True}),
    "sparsify's run, of the coder": lambda f: sparsify(f, "layers.4", run={"sae": {"transcode": True}}),
    "sparsify's run, by its mode": lambda f: sparsify(f, "layers.4", run={"hook_mode": "transcode"}),
    "dictionary_learning": lambda f: dictionary(f, "mlp_out_layer_4", io="in_and_out"),
    "dictionary_learning, no hook": lambda f: dictionary(f, None, 4, io="in_and_out"),
    "gemma scope": lambda f: scope_1(f, SCOPE.format("transcoders")),
    "gemma scope 2": lambda f: scope_2(f, "model.layers.4.output", hf_hook_point_out=NORM.format("post_feedforward")),
}  # fmt: skip


@pytest.mark.parametrize("how", TRANSCODERS)
@pytest.mark.parametrize("site", ["4", "4.resid_pre", "4.mlp_out"])
def test_a_transcoder_is_refused_as_one(tmp_path, how, site):
    source = TRANSCODERS[how](tmp_path)
    with pytest.raises(InputError, match="transcoder"):
        adopt_sae(str(source), tmp_path / "out", identity=IDENTITY | {"site": site})
    assert not (tmp_path / "out").exists()
    assert "a transcoder" in known_before(source, site)


def test_the_input_of_a_runs_transcoder_loses_b_dec_as_its_coder_does(tmp_path):
    """Older sparsify: `transcode` of the run chose the target, and its coder subtracted b_dec all the same."""
    import torch
    from foreign_files import agrees, tokens, topk

    w, x = weights(W_skip=(D, D)), tokens()
    foreign = read_sae(sparsify(tmp_path, "layers.4", run={"transcode": True}))
    z = topk((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"])
    agrees(foreign, x, z, z @ w["W_dec"] + w["b_dec"])
    assert (foreign.site, foreign.target, foreign.sae.apply_b_dec_to_input) == ("4.resid_pre", "4", False)
    assert torch.isfinite(foreign.sae.b_enc).all()


SAME = [
    ("EleutherAI/pythia-70m", "pythia-70m"),
    ("openai-community/gpt2", "gpt2-small"),
    ("gpt2", "gpt2-small"),
    ("meta-llama/Meta-Llama-3.1-8B", "meta-llama/Llama-3.1-8B"),
    ("meta-llama/Llama-3.1-8B", "Meta-Llama-3.1-8B"),
    ("unsloth/gemma-2-2b", "google/gemma-2-2b"),
    ("meta-llama/Llama-2-7b-hf", "Llama-2-7b"),
    ("google/gemma-3-4b-pt", "gemma-v3-4b"),
    ("google/gemma-3-4b-it", "Gemma-3-4B-IT"),
    ("mistralai/Mistral-7B-v0.1", "mistral-7b"),
    ("/models/some/gemma-2-2b", "google/gemma-2-2b"),
    (
        "/cache/huggingface/hub/models--google--gemma-2-2b/snapshots/" + "3f" * 20,
        "google/gemma-2-2b",
    ),
    ("hub/models--google--gemma-2-2b/snapshots/" + "3f" * 20 + "/", "gemma-2-2b"),
    ("hub/models--gpt2", "openai-community/gpt2"),
    ("roneneldan/TinyStories-33M", "tiny-stories-33M"),
]
OTHERS = [
    ("EleutherAI/pythia-70m", "pythia-70m-deduped"),
    ("EleutherAI/pythia-70m", "EleutherAI/pythia-70m-deduped"),
    ("EleutherAI/pythia-1.4b", "pythia-14b"),
    ("google/gemma-3-4b-it", "google/gemma-3-4b-pt"),
    ("google/gemma-2-2b-it", "gemma-2-2b"),
    ("google/gemma-2-2b", "google/gemma-2-27b"),
    ("gpt2", "gpt2-medium"),
    ("gpt2", "gpt2-xl"),
    ("gpt2", "gpt"),
    ("meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-8B-Instruct"),
    ("meta-llama/Llama-3-8B", "meta-llama/Llama-3.1-8B"),
    ("google/gemma-2-2b", "someone/gemma-2-2b"),
    ("Qwen/Qwen2-0.5B", "Qwen/Qwen2.5-0.5B"),
    ("mistralai/Mistral-7B-v0.1", "mistralai/Mistral-7B-v0.3"),
    ("hub/models--google--gemma-2-2b/snapshots/" + "3f" * 20, "google/gemma-2-2b-it"),
    ("hub/models--someone--gemma-2-2b/snapshots/" + "3f" * 20, "google/gemma-2-2b"),
]


@pytest.mark.parametrize(
    ("one", "other", "same"), [*((*p, True) for p in SAME), *((*p, False) for p in OTHERS)]
)
def test_models_are_told_apart_by_their_whole_name(tmp_path, one, other, same):
    assert same_model(one, other) == same_model(other, one) == same
    source = saelens(tmp_path, "blocks.4.hook_resid_post", other)
    identity = IDENTITY | {"site": "4", "model": one}
    assert bool(known_before(source, "4", models=[one])) is not same
    if same:
        adopt_sae(str(source), tmp_path / "out", identity=identity)
        return
    with pytest.raises(InputError, match=f"an SAE of the model {other}; expected one of {one}"):
        adopt_sae(str(source), tmp_path / "out", identity=identity)
