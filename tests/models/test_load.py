"""Loading: what is refused, and how it is told."""

import copy
import hashlib
import http.server
import importlib.util
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import D_MODEL, LAYERS, save_tiny_text
from tiny_families import TEXT_FAMILIES, VISION_FAMILIES

from crosslens.errors import InputError
from crosslens.models import load
from crosslens.models.adapters.gemma import Gemma3Text
from crosslens.models.inputs import build_inputs
from crosslens.models.load import load_model

MAIN, OLD, WITHOUT_WEIGHTS, ADAPTED = "a" * 40, "b" * 40, "c" * 40, "d" * 40


def test_what_was_loaded(vlm, text_model):
    for loaded in (vlm, text_model):
        assert (loaded.n_layers, loaded.d_model) == (LAYERS, D_MODEL)
        assert loaded.model.dtype == torch.float32 and not loaded.model.training
        assert loaded.adapter.text_config._attn_implementation == "eager"
        assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    assert vlm.processor is not None and text_model.processor is None


def test_bfloat16(vlm_folder):
    assert load_model(str(vlm_folder), dtype="bfloat16", device="cpu").model.dtype == torch.bfloat16


def test_float16_is_refused_where_it_overflows_and_only_there(vlm_folder, monkeypatch):
    with pytest.raises(InputError, match="float16 ends at 65,504, and residuals of Gemma 3 reach 800,000"):
        load_model(str(vlm_folder), dtype="float16", device="cpu")
    monkeypatch.setattr(Gemma3Text, "overflows_float16", None)
    assert load_model(str(vlm_folder), dtype="float16", device="cpu").model.dtype == torch.float16


def test_float16_is_refused_for_the_language_model_inside(load_family):
    with pytest.raises(InputError, match="residuals of Qwen2 exceed it"):
        load_model(load_family("llava_qwen2").id, dtype="float16", device="cpu")
    load_model(load_family("llava").id, dtype="float16", device="cpu")


@pytest.mark.parametrize("dtype", ["half", "float64"])
def test_other_dtypes_are_refused(vlm_folder, dtype):
    with pytest.raises(InputError, match="float32 or bfloat16 or float16"):
        load_model(str(vlm_folder), dtype=dtype)


def test_bad_attention_and_device(vlm_folder):
    with pytest.raises(InputError, match="eager or sdpa"):
        load_model(str(vlm_folder), attention="flash")
    with pytest.raises(InputError, match="auto"):
        load_model(str(vlm_folder), device="tpu")


def test_a_missing_folder(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        load_model(str(tmp_path / "none"))


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(InputError, match="config.json"):
        load_model(str(tmp_path))


@pytest.mark.parametrize("id", ["package:gemma-3-270m", "models/some.gguf"])
def test_a_gguf_file_is_to_be_converted_first(id):
    with pytest.raises(InputError, match="prepare_model"):
        load_model(id)


def test_a_device_map_puts_the_model_where_it_says(vlm_folder, vlm):
    pytest.importorskip("accelerate", reason="a device map needs accelerate")
    loaded = load_model(str(vlm_folder), device_map={"": "cpu"})
    assert loaded.device == torch.device("cpu")
    ids = torch.tensor([[2, 300, 301, 302]])
    types = torch.zeros_like(ids)
    with torch.inference_mode():
        found = loaded.model(input_ids=ids, token_type_ids=types).logits
        assert torch.equal(found, vlm.model(input_ids=ids, token_type_ids=types).logits)


@pytest.mark.parametrize("kept", [["model.embed_tokens", "lm_head"], ["model.layers.0"]])
def test_inputs_go_to_what_computes_where_parts_are_kept_elsewhere(tmp_path, kept):
    """An embedding that is kept in memory or on disk is on `meta` until it runs."""
    pytest.importorskip("accelerate", reason="a device map needs accelerate")
    folder = save_tiny_text(tmp_path / "model")
    parts = ["embed_tokens", "norm", "rotary_emb", *(f"layers.{layer}" for layer in range(LAYERS))]
    places = {f"model.{part}": "cpu" for part in parts} | {"lm_head": "cpu"} | dict.fromkeys(kept, "disk")
    loaded = load_model(str(folder), device_map=places)
    assert loaded.device == torch.device("cpu")


def test_a_device_map_needs_accelerate_and_no_device(vlm_folder, monkeypatch):
    with pytest.raises(InputError, match=r"'cpu' together with model\.device_map"):
        load_model(str(vlm_folder), device="cpu", device_map="auto")
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "accelerate" else real(name, *rest)
    )
    with pytest.raises(InputError, match="pip install accelerate"):
        load_model(str(vlm_folder), device_map="auto")


class Hub(http.server.BaseHTTPRequestHandler):
    """A hub with one gated model, one without the revision that is asked for, and an adapter of PEFT."""

    asked: ClassVar[list[str]] = []
    """Paths of files of the adapter's."""

    def do_HEAD(self):
        if "/resolve/" in self.path and "someone/adapter" in self.path:
            return self.adapter(Path(self.path).name)
        gated = "someone/gated" in self.path
        code = "GatedRepo" if gated else "RevisionNotFound" if "someone/tiny" in self.path else "RepoNotFound"
        self.send_response(403 if gated else 404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD

    def adapter(self, name):
        """A file of an adapter's repository, which has but a configuration of its own."""
        self.asked.append(name)
        there = name == "adapter_config.json"
        self.send_response(200 if there else 404)
        self.send_header("X-Repo-Commit", ADAPTED)
        self.send_header("ETag", '"1"')
        if not there:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", "2" if there else "0")
        self.end_headers()
        if there and self.command == "GET":
            self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


ASKED = [
    ("someone/tiny", None),
    ("someone/tiny", OLD),
    ("someone/tiny", WITHOUT_WEIGHTS),
    ("someone/tiny", ADAPTED),
    ("someone/tiny", "v9"),
    ("someone/other", "abc"),
]
ASKED_ONLINE = [
    ("someone/gated", None),
    ("someone/tiny", "v8"),
    ("someone/none", None),
    ("someone/adapter", ADAPTED),
]
ASKING = f"""
import json
from huggingface_hub import constants
from crosslens.errors import InputError
from crosslens.models.load import load_model

def told(id, revision):
    try:
        loaded = load_model(id, revision=revision, device="cpu")
    except InputError as error:
        return str(error)
    return float(loaded.model.model.norm.weight.sum())

offline = [told(*asked) for asked in {ASKED}]
constants.HF_HUB_OFFLINE = False
print(json.dumps([offline, [told(*asked) for asked in {ASKED_ONLINE}]]))
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """(sum of the final norm by revision, cache, what `load_model` gives for ASKED offline and for ASKED_ONLINE).

    The cache is as the hub's client leaves it, with two revisions and one whose download was cut off. The client reads
    its environment when it is imported, hence a process of its own.
    """
    home = tmp_path_factory.mktemp("hub")
    repository = home / "hub" / "models--someone--tiny"
    sums = {}
    for revision, factor in ((MAIN, 1), (OLD, 3), (WITHOUT_WEIGHTS, 1), (ADAPTED, 1)):
        folder = save_tiny_text(repository / "snapshots" / revision)
        tensors = load_file(folder / "model.safetensors")
        tensors["model.norm.weight"] *= factor
        sums[revision] = float(tensors["model.norm.weight"].sum())
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (repository / "snapshots" / WITHOUT_WEIGHTS / "model.safetensors").unlink()
    (repository / "snapshots" / ADAPTED / "adapter_config.json").write_text("{}")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(MAIN)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings = {
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
    }
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGINGFACE_"))}
    ended = subprocess.run(
        [sys.executable, "-c", ASKING], env={**kept, **settings}, capture_output=True, text=True
    )
    server.shutdown()
    assert ended.returncode == 0, ended.stderr
    return sums, home / "hub", *json.loads(ended.stdout.splitlines()[-1])


def test_hub_models_come_from_the_cache_by_revision(hub):
    sums, _, (newest, old, *_), _ = hub
    assert newest == pytest.approx(sums[MAIN]) and old == pytest.approx(sums[OLD])


def test_what_the_cache_lacks_is_told_with_the_command(hub):
    _, cache, (_, _, partial, _, unknown, other), _ = hub
    assert (
        f"hf download someone/tiny --revision {WITHOUT_WEIGHTS}" in partial and "model.safetensors" in partial
    )
    assert "hf download someone/tiny --revision v9" in unknown and f"it has {MAIN}, {OLD}" in unknown
    assert "hf download someone/other --revision abc" in other and "it has nothing of it" in other
    assert all("HF_HOME" in message and str(cache) in message for message in (partial, unknown, other))


def test_what_the_hub_refuses_is_told_apart(hub):
    _, _, _, (gated, revision, none, _) = hub
    assert "accept the terms" in gated and "hf auth login" in gated
    assert "no revision 'v8'" in revision and "model.revision" in revision
    assert "no such model on the hub" in none and "model.id" in none


def test_an_adapter_of_peft_on_the_hub_is_refused_before_its_weights_are_fetched(hub):
    """Beside a whole model in the cache, and alone on the hub: where peft is installed transformers would add it."""
    _, _, (_, _, _, cached, *_), (*_, online) = hub
    for told in (cached, online):
        assert "an adapter of PEFT" in told and "merge_and_unload" in told
    assert {*Hub.asked} == {"adapter_config.json"}


def test_an_adapter_of_peft_in_a_folder_is_refused(text_model, tmp_path):
    folder = shutil.copytree(text_model.id, tmp_path / "model")
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match="an adapter of PEFT"):
        load_model(str(folder), device="cpu")


def test_quantised_weights_are_refused(text_model, tmp_path):
    """The package that reads them decides the numbers, and no key holds its version."""
    folder = shutil.copytree(text_model.id, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"quantised weights \(gptq in config.json\)"):
        load_model(str(folder), device="cpu")


def test_an_unknown_family(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(InputError, match="'bert'.*gemma3"):
        load_model(str(tmp_path))


def test_edited_and_missing_files_are_found_by_their_digests(vlm_folder, tmp_path):
    folder = shutil.copytree(vlm_folder, tmp_path / "model")
    names = [path.name for path in folder.iterdir()]
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(lines))
    load_model(str(folder), device="cpu")
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(InputError, match=r"model\.safetensors.*digest does not match"):
        load_model(str(folder))
    weights.unlink()
    with pytest.raises(InputError, match=r"model\.safetensors.*no file"):
        load_model(str(folder))
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  {'a' * 300}\n")
    with pytest.raises(InputError, match="aaa.*no file"):
        load_model(str(folder))


def test_missing_weights_are_not_made_up(vlm_folder, tmp_path):
    folder = shutil.copytree(vlm_folder, tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if "mlp.up_proj" in name and "language" in name)
    del tensors[name]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="no weights for 1 parameters"):
        load_model(str(folder))


@pytest.mark.parametrize("name", [*TEXT_FAMILIES, *VISION_FAMILIES])
def test_a_missing_tokenizer_is_not_replaced_by_an_empty_one(load_family, tmp_path, name):
    folder = shutil.copytree(load_family(name).id, tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"tokenizer\.json"):
        load_model(str(folder), device="cpu")


@pytest.mark.parametrize("file", ["tokenizer.model", "tokenizer.model.v3", "qwen.tiktoken", "tekken.json"])
def test_a_tokenizer_that_other_packages_make_is_refused(text_model, tmp_path, file):
    """Which of them is installed, and in which version, would decide the tokens under one key."""
    made = copy.copy(text_model.tokenizer)
    made.vocab_file = str(tmp_path / file)
    with pytest.raises(InputError, match=rf"made of {file} .*expected tokenizer\.json"):
        load._check_tokenizer("model", made)
    (tmp_path / "tokenizer.json").touch()
    load._check_tokenizer("model", made)


@pytest.fixture
def broken(load_family, tmp_path):
    """A copy of a family's folder with other values in its (language model's) configuration, and load_model on it."""

    def load(name, **changes):
        folder = shutil.copytree(load_family(name).id, tmp_path / "model")
        config = json.loads((folder / "config.json").read_text())
        config.get("text_config", config).update(changes)
        (folder / "config.json").write_text(json.dumps(config))
        return load_model(str(folder), device="cpu")

    return load


@pytest.mark.parametrize(
    ("name", "setting"), [("gpt2", "n_layer"), ("llama", "num_hidden_layers"), ("llava", "num_hidden_layers")]
)
def test_a_model_of_more_blocks_than_its_configuration_says_is_not_cut_off(broken, name, setting):
    with pytest.raises(InputError, match=f"weights of {LAYERS} blocks; expected {LAYERS - 1}"):
        broken(name, **{setting: LAYERS - 1})


def test_masks_that_old_gpt2_files_hold_are_no_blocks(load_family, tmp_path):
    folder = shutil.copytree(load_family("gpt2").id, tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    tensors |= {f"transformer.h.{layer}.attn.bias": torch.ones(1, 1, 8, 8) for layer in range(LAYERS)}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert load_model(str(folder), device="cpu").n_layers == LAYERS


def test_weights_that_do_not_fit_the_configuration_are_told(broken):
    with pytest.raises(InputError, match=r"mlp.*\(32, 64\); expected \(32, 48\), as config.json says"):
        broken("llama", intermediate_size=48)


def test_a_configuration_that_contradicts_itself_is_told(broken):
    with pytest.raises(InputError, match=r"num_hidden_layers.*To mend: fetch config\.json again"):
        broken("llama", num_hidden_layers="three")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"vocab_size": 10**9}, r"config\.json of [\d,]+ parameters, and weights of"),
        ({"num_hidden_layers": 10**7}, r"config\.json of 10,000,000 blocks, and weights of"),
        ({"hidden_act": "no such"}, r"KeyError.*no such"),
    ],
)
def test_a_configuration_of_another_size_takes_no_memory_and_one_that_fails_no_traceback(
    broken, changes, told
):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=told):
        broken("llama", **changes)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < (1 << 20 if sys.platform == "linux" else 1 << 30), "KiB; 128 GB are asked for"


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        (
            "tokenizer.json",
            lambda text: text.replace('"merges": [', '"merges": [1.5, '),
            "does not hold a whole model",
        ),
        (
            "tokenizer_config.json",
            lambda text: json.dumps(json.loads(text) | {"eos_token": 1.5}),
            "does not hold",
        ),
        (
            "chat_template.jinja",
            lambda text: text + "{% endfor %}",
            "a chat template that fails .*TemplateSyntaxError",
        ),
        (
            "processor_config.json",
            lambda text: text.replace("0.5", '"x"'),
            "a processor that fails on pictures",
        ),
    ],
)
def test_files_that_are_broken_are_told_in_a_line(vlm_folder, data, tmp_path, file, change, told):
    folder = shutil.copytree(vlm_folder, tmp_path / "model")
    text = (folder / file).read_text(encoding="utf-8")
    assert change(text) != text
    (folder / file).write_text(change(text), encoding="utf-8")
    rows, images = data
    with pytest.raises(InputError, match=told) as error:
        loaded = load_model(str(folder), device="cpu")
        build_inputs(loaded, rows["en"][:1], images=images, with_caption=True)
    assert "\n" not in str(error.value)


def test_a_token_without_an_embedding_is_told_with_its_sample(tmp_path):
    loaded = load_model(str(save_tiny_text(tmp_path / "model")), device="cpu")
    loaded.tokenizer.add_tokens(["beyond"])
    row = {"sample_id": "a#0", "prompt": "Describe", "caption": "one beyond"}
    with pytest.raises(
        InputError, match=r"sample a#0: found token \d+ \('beyond'\), which .* no embedding of"
    ):
        build_inputs(loaded, [row], images=None, with_caption=True)


@pytest.mark.parametrize("kept", [0, 100, -1000])
def test_cut_off_weights_are_told_by_their_file(load_family, tmp_path, kept):
    folder = shutil.copytree(load_family("llama").id, tmp_path / "model")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"fetch model\.safetensors again"):
        load_model(str(folder), device="cpu")


@pytest.mark.parametrize("code", [{}, {"auto_map": {"AutoConfig": "configuration_brandnew.BrandNew"}}])
def test_an_architecture_that_transformers_does_not_have(tmp_path, monkeypatch, code):
    """Nor is anybody asked whether its code may run."""
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked on stdin"))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "brandnew", "hidden_size": 8, **code}))
    with pytest.raises(
        InputError, match="an architecture that transformers.*choose a model of these families"
    ):
        load_model(str(tmp_path), device="cpu")
