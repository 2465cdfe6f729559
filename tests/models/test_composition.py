"""The proof that an adapter's places are right: every family passes, and what looks right and is wrong does not."""

import pytest
import torch
import transformers as hf
from tiny import CAPTIONS, D_MODEL, LAYERS, PROMPTS, save_dataset, text_settings
from tiny_families import TEXT_FAMILIES, VISION_FAMILIES, save, smollm2_tokenizer

from crosslens.activations.extract import extract
from crosslens.errors import InputError
from crosslens.models import adapters
from crosslens.models.adapters import Adapter, VisionAdapter, declare, known_adapter, register
from crosslens.models.adapters.gemma import Gemma2
from crosslens.models.adapters.llama import Llama
from crosslens.models.composition import check_composition
from crosslens.models.families import model_types
from crosslens.models.hooks import capture
from crosslens.models.inputs import Sample, build_inputs
from crosslens.models.load import load_model

TEXT = [Sample("a", CAPTIONS["en"][0], PROMPTS["en"])]
NARROW = {"hidden_size": D_MODEL, "num_attention_heads": 2, "num_hidden_layers": LAYERS}


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """What a test registers is forgotten again; files of families, which are imported once, are not."""
    for model_type in model_types():
        known_adapter(model_type)
    monkeypatch.setattr(adapters, "_REGISTERED", dict(adapters._REGISTERED))


def check(loaded, samples=TEXT, images=None):
    check_composition(
        loaded, build_inputs(loaded, samples * 2, images=images, with_caption=True), loaded.n_layers
    )


def tiny(folder, kind, config, **settings):
    tokenizer = smollm2_tokenizer()
    ids = {"vocab_size": len(tokenizer), "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    return save(folder, kind, config(**ids, **settings), tokenizer=tokenizer)


@pytest.fixture
def bloom(tmp_path):
    return tiny(tmp_path / "model", hf.BloomForCausalLM, hf.BloomConfig, **NARROW)


class BloomParts(Adapter):
    """What is right of Bloom whatever its halves are."""

    @property
    def decoder(self):
        return self.model.transformer

    @property
    def blocks(self):
        return self.decoder.h

    @property
    def final_norm(self):
        return self.decoder.ln_f


class LooksLikeGPTNeoX(BloomParts):
    """The pattern of GPT-NeoX, copied."""

    def attn_out(self, block):
        return block.self_attention

    def mlp_out(self, block):
        return block.mlp


class Bloom(BloomParts):
    def attn_out(self, block):
        return block.self_attention.dense

    def mlp_out(self, block):
        return block.mlp.dense_4h_to_h


class OPT(Adapter):
    @property
    def decoder(self):
        return self.model.model.decoder

    @property
    def final_norm(self):
        return self.decoder.final_layer_norm

    def attn_out(self, block):
        return block.self_attn

    def mlp_out(self, block):
        return block.fc2


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", [*TEXT_FAMILIES, *VISION_FAMILIES])
def test_every_family_passes(load_family, samples_of, pictures, name, dtype):
    loaded = load_family(name)
    loaded.model.to(torch.bfloat16 if dtype == "bfloat16" else torch.float32)
    try:
        for images in {False, loaded.adapter.is_vision}:
            for sample in samples_of(loaded, images=images):
                check(loaded, [sample], pictures)
    finally:
        loaded.model.float()


def test_halves_that_hold_the_residual_are_refused_by_how_far_they_are_off(bloom):
    register("bloom")(LooksLikeGPTNeoX)
    loaded = load_model(str(bloom), device="cpu")
    with pytest.raises(InputError) as found:
        check(loaded)
    told = str(found.value)
    assert "adapter LooksLikeGPTNeoX of bloom, site 0.attn_out or 0.mlp_out" in told
    assert "attn_gate" in told and "adds the residual itself" in told
    # It is off by what the two halves have too much: the attention's sum, and what came before it once more.
    batch = build_inputs(loaded, TEXT, images=None, with_caption=True)
    with torch.inference_mode(), capture(loaded, ["0.resid_pre", "0.attn_out", "0"]) as values:
        loaded.model(**batch.inputs)
    off = (values["0.resid_pre"] + values["0.attn_out"]).abs()
    size = float(found.value.found.split(" that is ")[1].split()[0])
    assert 0.1 * off.max() < size <= 1.001 * off.max()


def test_the_layers_inside_them_pass(bloom):
    register("bloom")(Bloom)
    check(load_model(str(bloom), device="cpu"))


def test_a_layer_that_sees_all_tokens_as_one_list_is_refused(tmp_path):
    register("opt")(OPT)
    settings = NARROW | {"ffn_dim": 64, "word_embed_proj_dim": D_MODEL, "max_position_embeddings": 128}
    folder = tiny(tmp_path / "model", hf.OPTForCausalLM, hf.OPTConfig, **settings)
    loaded = load_model(str(folder), device="cpu")
    with pytest.raises(
        InputError, match=r"adapter OPT of opt, site 0\.mlp_out: found values of shape \(\d+, 32\)"
    ) as found:
        check(loaded)
    assert "one row a token" in str(found.value)


def test_a_factor_that_is_forgotten_is_refused(tmp_path):
    register("granite")(type("Granite", (Llama,), {}))
    settings = text_settings() | {"residual_multiplier": 0.25}
    folder = tiny(tmp_path / "model", hf.GraniteForCausalLM, hf.GraniteConfig, **settings)
    with pytest.raises(InputError, match=r"adapter Granite of granite, site 0\.attn_out or 0\.mlp_out"):
        check(load_model(str(folder), device="cpu"))


def test_a_norm_behind_a_half_that_is_forgotten_is_refused(load_family, monkeypatch):
    loaded = load_family("gemma2")
    monkeypatch.setattr(Gemma2, "mlp_out", lambda self, block: block.mlp)
    with pytest.raises(InputError, match="behind a post-norm"):
        check(loaded)


def test_one_wrong_block_among_right_ones_is_named(load_family, monkeypatch):
    loaded = load_family("llama")
    blocks = list(loaded.adapter.blocks)
    wrong = {blocks[2]: blocks[2].post_attention_layernorm}
    monkeypatch.setattr(Llama, "mlp_out", lambda self, block: wrong.get(block, block.mlp))
    with pytest.raises(InputError, match=r"site 2\.attn_out or 2\.mlp_out"):
        check(loaded)
    batch = build_inputs(loaded, TEXT * 2, images=None, with_caption=True)
    check_composition(loaded, batch, 2)  # no deeper site is asked for


@pytest.mark.parametrize("name", [*TEXT_FAMILIES, *VISION_FAMILIES])
def test_halves_that_change_their_names_are_refused(load_family, samples_of, pictures, monkeypatch, name):
    """Their sum is right; which of them hears of other tokens is not, one behind the other or side by side."""
    loaded = load_family(name)
    kind = type(loaded.adapter)
    for half in ("{}_out", "{}_gate"):
        attn, mlp = (getattr(kind, half.format(which)) for which in ("attn", "mlp"))
        monkeypatch.setattr(kind, half.format("attn"), mlp)
        monkeypatch.setattr(kind, half.format("mlp"), attn)
    for dtype in (torch.float32, torch.bfloat16):
        loaded.model.to(dtype)
        try:
            with pytest.raises(InputError, match=rf"{kind.__name__} .*0\.attn_out and 0\.mlp_out") as found:
                check(loaded, samples_of(loaded)[:1], pictures)
        finally:
            loaded.model.float()
        assert f"exchange `attn_out` and `mlp_out` of {kind.__name__}" in str(found.value)


def test_a_half_that_the_block_never_runs_is_refused(load_family, monkeypatch):
    loaded = load_family("llama")
    idle = torch.nn.Linear(1, 1)
    monkeypatch.setattr(Llama, "attn_out", lambda self, block: idle)
    with pytest.raises(InputError, match=r"site 0\.attn_out: found a module that the block does not run"):
        check(loaded)


def test_extraction_proves_the_users_adapter_before_it_writes(bloom, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from crosslens.models.adapters import Adapter, register\n"
        "@register('bloom')\n"
        "class Mine(Adapter):\n"
        "    decoder = property(lambda self: self.model.transformer)\n"
        "    blocks = property(lambda self: self.decoder.h)\n"
        "    final_norm = property(lambda self: self.decoder.ln_f)\n"
        "    def attn_out(self, block): return block.self_attention\n"
        "    def mlp_out(self, block): return block.mlp\n"
    )
    dataset, _ = save_dataset(tmp_path / "data", "en", 3, images=False)
    (tmp_path / "1").mkdir()
    with pytest.raises(InputError, match="adapter Mine of bloom"):
        extract(
            dataset=dataset,
            images=None,
            rows=(1, 3),
            model={"id": str(bloom), "device": "cpu", "adapter": str(file)},
            sites={"1": tmp_path / "1" / "out.zarr"},
            tokens=tmp_path / "1" / "tokens.zarr",
            batch_tokens=500,
            shard_bytes=8192,
            language="en",
        )
    assert not [*(tmp_path / "1").iterdir()]


HEAD = "from crosslens.models.adapters import Adapter, VisionAdapter, register\n@register('olmo2')\n"
DECODER = "    decoder = property(lambda self: self.model.model)\n"
HALVES = (
    "    def attn_out(self, block): return block.self_attn\n    def mlp_out(self, block): return block.mlp\n"
)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("class Mine(Adapter):\n" + DECODER, "no `attn_out`"),
        ("class Mine(Adapter):\n" + HALVES, "no `blocks` or `decoder`"),
        (
            "class Mine(Adapter):\n" + DECODER + HALVES.replace("mlp_out", "mlp_output"),
            "'mlp_output', which is read",
        ),
        (
            "class Mine(Adapter):\n" + DECODER + HALVES + "    max_token = 3\n",
            "expected 'max_tokens', perhaps",
        ),
        ("class Mine:\n" + DECODER + HALVES, "no subclass of Adapter"),
        ("class Mine(Adapter):\n    decoder = self.model\n", "line 4: found NameError"),
        ("class Mine(Adapter)\n", "line 3: found SyntaxError"),
    ],
)
def test_a_file_of_the_users_that_does_not_say_what_it_must(tmp_path, body, told):
    file = tmp_path / "mine.py"
    file.write_text(HEAD + body)
    with pytest.raises(InputError) as found:
        declare(file)
    assert told in str(found.value) and str(file) in str(found.value)


def test_helpers_and_other_names_of_norms_are_the_adapters_own():
    class Mine(VisionAdapter):
        blocks = final_norm = attn_out = mlp_out = _helper = None

    register("mine")(Mine)


def test_a_part_that_the_model_does_not_have_is_named(bloom):
    class Mine(Bloom):
        def mlp_out(self, block):
            return block.feed_forward

    register("bloom")(Mine)
    with pytest.raises(InputError, match=r"adapter Mine, mlp_out of block 0: .*feed_forward.*print\(model\)"):
        load_model(str(bloom), device="cpu")
