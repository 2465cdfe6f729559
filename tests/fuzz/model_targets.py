"""What a model is read from: its folder's files, and GGUF files."""

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import yaml
from checkouts import TOY
from mutations import Mutate, gguf_too, json_too, safetensors_too, text_too
from PIL import Image
from target import Target

from crosslens.models.composition import check_composition
from crosslens.models.gguf import convert
from crosslens.models.inputs import build_inputs
from crosslens.models.load import load_model
from crosslens.store.digests import FileDigests
from crosslens.study.study import Study

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
from test_gguf import tiny, write_gguf
from tiny import PROMPTS, save_tiny_text, save_tiny_vlm

ROOT = Path(__file__).parents[2]
SAMPLE = {"sample_id": "a#0", "caption": "A woman holds a red book.", "prompt": PROMPTS["en"]}
SETTINGS = {name: TOY[name] for name in ("languages", "prompts", "lexicons", "splits", "sites")}
SETTINGS |= {"source": {"names": {"emoji": {}}}, "sae": {"k": 4}}


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def planned(folder: Path) -> None:
    """A study of the model is read, its keys and sizes."""
    settings = SETTINGS | {"model": {"id": str(folder)}}
    (folder.parent / "fuzzed.yaml").write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8")
    digests, schema = FileDigests(folder.parent / "files.json"), ROOT / "workflow/schemas/study.schema.yaml"
    model = Study("fuzzed", folder.parent, schema, digests, data_needed=False).model
    _ = model.identity, model.label, model.d_model, model.heads, model.depth


def runs(folder: Path) -> None:
    """What every extraction does first."""
    loaded = load_model(str(folder), device="cpu")
    sample = SAMPLE | ({"image": "a.png"} if loaded.processor else {})
    batch = build_inputs(loaded, [sample] * 2, images=folder.parent, with_caption=True)
    check_composition(loaded, batch, loaded.n_layers)


def model_file(
    folder: Path, *, name: str, mutate: Mutate, save: Callable[[Path], Path] = save_tiny_text
) -> Target:
    torch.set_num_threads(1)
    model = save(folder / "model")
    file = (model / name).resolve()  # of a link what it leads to
    Image.new("RGB", (48, 32), "red").save(folder / "a.png")
    if name == "special_tokens_map.json":
        file.write_text(
            json.dumps({"bos_token": "<bos>", "eos_token": {"content": "<eos>", "special": True}})
        )
    if name.startswith("model.safetensors.index"):
        weights = model / "model.safetensors"
        length = int.from_bytes(weights.read_bytes()[:8], "little")
        names = json.loads(weights.read_bytes()[8 : 8 + length])
        weights.rename(model / "model-00001-of-00001.safetensors")
        shards = {key: "model-00001-of-00001.safetensors" for key in names if key != "__metadata__"}
        file.write_text(json.dumps({"metadata": {"total_size": 0}, "weight_map": shards}))

    def read() -> None:
        planned(model)
        runs(model)

    return Target(file, mutate, read, beside=size(model))


def older_vlm(folder: Path) -> Path:
    """As models were saved before transformers 5: what prepares pictures in a file of its own."""
    whole = json.loads((save_tiny_vlm(folder) / "processor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps(whole.pop("image_processor")))
    (folder / "processor_config.json").write_text(json.dumps(whole))
    return folder


def cached(folder: Path) -> Path:
    """A snapshot in the hub's cache: links to files that are called by their digests."""
    for file in [*save_tiny_text(folder / "blobs").iterdir()]:
        blob = file.rename(file.with_name(hashlib.sha256(file.read_bytes()).hexdigest()))
        snapshot = folder / "models--someone--tiny/snapshots" / ("3f" * 20)
        snapshot.mkdir(parents=True, exist_ok=True)
        (snapshot / file.name).symlink_to(blob)
    return snapshot


def gguf_file(folder: Path) -> Target:
    """Read whole: metadata, vocabulary and tensors."""
    torch.set_num_threads(1)
    model, vocabulary = tiny("llama")
    file = write_gguf(folder / "model.gguf", model, "llama", vocabulary)

    def read() -> None:
        shutil.rmtree(folder / "out", ignore_errors=True)
        convert(file, folder / "out")

    return Target(file, gguf_too, read)


MODELS = {"gguf_whole": gguf_file} | {
    f"model_{called}": partial(model_file, name=name, mutate=mutate, save=save)
    for called, name, mutate, save in (
        ("config", "config.json", json_too, save_tiny_text),
        ("vision_config", "config.json", json_too, save_tiny_vlm),
        ("generation", "generation_config.json", json_too, save_tiny_text),
        ("tokenizer", "tokenizer.json", json_too, save_tiny_text),
        ("tokenizer_config", "tokenizer_config.json", json_too, save_tiny_text),
        ("special_tokens", "special_tokens_map.json", json_too, save_tiny_text),
        ("template", "chat_template.jinja", text_too, save_tiny_text),
        ("processor", "processor_config.json", json_too, save_tiny_vlm),
        ("preprocessor", "preprocessor_config.json", json_too, older_vlm),
        ("cached_config", "config.json", json_too, cached),
        ("cached_weights", "model.safetensors", safetensors_too, cached),
        ("weights", "model.safetensors", safetensors_too, save_tiny_text),
        ("index", "model.safetensors.index.json", json_too, save_tiny_text),
    )
}
