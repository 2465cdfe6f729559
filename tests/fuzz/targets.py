"""What is fuzzed: a whole file, how it is changed, and what reads it."""

import io
import json
import random
import shutil
import stat
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from checkouts import TOY
from model_targets import MODELS
from mutations import bytes_alone, csv_too, json_too, safetensors_too, yaml_too
from PIL import Image
from source_targets import SOURCES
from target import AcceptedDamage, Target
from world import table_of, tokens_of, write_dense_codes, write_site

from crosslens.data.captions import read_rows
from crosslens.data.images import verify_images
from crosslens.data.lexicons import load_lexicon
from crosslens.models.families import gguf_config
from crosslens.sae.exchange.read import read_sae
from crosslens.sae.exchange.sparsify import write_sparsify
from crosslens.sae.io import IDENTITY, save_sae
from crosslens.sae.model import TopKSAE
from crosslens.sae.settings import Settings
from crosslens.sae.state import load_checkpoint, save_checkpoint
from crosslens.sae.step import fresh_state, normalisations
from crosslens.store.digests import FileDigests
from crosslens.store.durable import read_sealed, write_sealed
from crosslens.store.lease import _place, is_gone
from crosslens.store.maintenance import record_of
from crosslens.store.seals import is_sealed
from crosslens.store.store import Store
from crosslens.study.study import Study
from crosslens.tables.activations import Activations
from crosslens.tables.codes import Codes
from crosslens.tables.documents import read_json, read_table, write_json, write_table
from crosslens.tables.tokens import read_tokens, write_tokens

ROOT = Path(__file__).parents[2]


def study(folder: Path) -> Target:
    file = folder / "toy.yaml"
    file.write_text(yaml.safe_dump(TOY, allow_unicode=True), encoding="utf-8")
    schema, digests = ROOT / "workflow/schemas/study.schema.yaml", FileDigests(folder / "files.json")
    return Target(file, yaml_too, lambda: Study("toy", folder, schema, digests, data_needed=False).variants)


def lexicon(folder: Path) -> Target:
    file = Path(shutil.copy(ROOT / "resources/lexicons/planted_ar.yaml", folder))
    return Target(file, yaml_too, lambda: load_lexicon(file, "ar"))


def captions(folder: Path) -> Target:
    file = folder / "captions.csv"
    header = "image_id,english_prompt,arabic_prompt,ground_truth_gender,group,category"
    rows = [f"i{n},a woman {n},امرأة {n},female,g{n // 2},x" for n in range(12)]
    file.write_text("\n".join([header, *rows]), encoding="utf-8")
    return Target(file, csv_too, lambda: read_rows(file, ["en", "ar"]))


def _sae() -> TopKSAE:
    sae = TopKSAE(8, 16, 4)
    sae.W_dec.copy_(torch.eye(8).repeat(2, 1))
    sae.W_enc.copy_(sae.W_dec.T)
    return sae


def sae_weights(folder: Path) -> Target:
    save_sae(folder / "sae", _sae(), identity=dict.fromkeys(IDENTITY, "1"))
    return Target(folder / "sae/sae_weights.safetensors", safetensors_too, lambda: read_sae(folder / "sae"))


def sae_config(folder: Path) -> Target:
    save_sae(folder / "sae", _sae(), identity=dict.fromkeys(IDENTITY, "1"))
    return Target(folder / "sae/cfg.json", json_too, lambda: read_sae(folder / "sae"))


def sparsify_config(folder: Path) -> Target:
    write_sparsify(folder / "layers.1", _sae())
    return Target(folder / "layers.1/cfg.json", json_too, lambda: read_sae(folder / "layers.1"))


def sae_state_dict(folder: Path) -> Target:
    (folder / "sae").mkdir()
    file = folder / "sae/ae.pt"
    names = ("encoder.weight", "encoder.bias", "decoder.weight", "bias")
    values = (torch.ones(16, 8), torch.zeros(16), torch.ones(8, 16), torch.zeros(8))
    torch.save(dict(zip(names, values, strict=True)), file)
    trainer = {"dict_class": "AutoEncoder", "activation_dim": 8, "dict_size": 16}
    (folder / "sae/config.json").write_text(json.dumps({"trainer": trainer}))
    return Target(file, bytes_alone, lambda: read_sae(file))


def sae_npz(folder: Path) -> Target:
    file, sae = folder / "params.npz", _sae()
    tensors = {name: getattr(sae, name).numpy() for name in ("W_enc", "W_dec", "b_enc", "b_dec")}
    np.savez(file, **tensors, threshold=np.ones(16, dtype=np.float32))
    return Target(file, bytes_alone, lambda: read_sae(file))


def gguf(folder: Path) -> Target:
    file = folder / "model.gguf"
    key = b"general.architecture"
    head = b"GGUF" + bytes(20) + len(key).to_bytes(8, "little") + key + b"\x08\0\0\0"
    file.write_bytes(head + (6).to_bytes(8, "little") + b"gemma3" + bytes(200))
    return Target(file, bytes_alone, lambda: gguf_config(file))


def _picture(folder: Path, name: str, mode: str) -> Target:
    file, data = folder / name, io.BytesIO()
    noise = random.Random(1).randbytes(48 * 48 * len(mode))
    Image.frombytes(mode, (48, 48), noise).save(data, "jpeg" if name.endswith("jpg") else name[2:])
    file.write_bytes(data.getvalue())
    return Target(file, bytes_alone, lambda: verify_images(folder, ["a"]))


def png(folder: Path) -> Target:
    return _picture(folder, "a.png", "RGBA")


def jpeg(folder: Path) -> Target:
    return _picture(folder, "a.jpg", "RGB")


def webp(folder: Path) -> Target:
    return _picture(folder, "a.webp", "RGB")


def lease(folder: Path) -> Target:
    file = folder / "lease.json"
    file.write_text(json.dumps({"place": _place(), "pid": 12, "start": "345"}))
    return Target(file, json_too, lambda: is_gone(folder))


def record(folder: Path) -> Target:
    file = folder / "key.json"
    recipe = {"kind": "a", "path": "results/a", "key": "k", "own": "o", "shown": ["results/a"], "params": {}}
    file.write_text(json.dumps({"recipe": recipe, "same_as": "k"}))
    return Target(file, json_too, lambda: record_of(folder / "key"))


def memory(folder: Path) -> Target:
    file, held = folder / "files.json", {f"/file/{n}": [n, n, n, "0" * 64] for n in range(9)}
    write_sealed(file, held)

    def read() -> None:
        if read_sealed(file) not in (None, held):
            raise AcceptedDamage(file)

    return Target(file, json_too, read)


def checkpoint(folder: Path) -> Target:
    file = folder / "checkpoint"
    config = Settings(k=4, epochs=1, batch_tokens=32, expansion=2).resolve(d_model=16, tokens=1000)
    batch = torch.randn(32, 16, generator=torch.Generator().manual_seed(0))
    state = fresh_state(config, *normalisations(batch, 16), seed=0)
    save_checkpoint(file, state, {"run": 1})

    def read() -> None:
        load_checkpoint(file, state, {"run": 1})
        if file.exists():  # what is damaged is removed
            raise AcceptedDamage(file)

    return Target(file, safetensors_too, read)


def _stored(folder: Path, made: Path, name: str) -> Target:
    """A file of an object in a store."""
    store = Store(str(folder / "store"))
    target = store.commit(made)
    file = max(
        (path for path in (target, *target.rglob(name)) if path.is_file()),
        key=lambda path: path.stat().st_size,
    )
    for path in (file, file.parent):
        path.chmod(path.stat().st_mode | stat.S_IWUSR)

    def read() -> None:
        if is_sealed(store, target):
            raise AcceptedDamage(target)

    return Target(file, bytes_alone, read)


def _tokens(folder: Path) -> Path:
    made = folder / "object.zarr"
    words = [f"word{n}" for n in range(8)]
    write_tokens(made, table_of({f"{n}#0": tokens_of("caption", words) for n in range(40)}), language="en")
    return made


def zarr_chunk(folder: Path) -> Target:
    return _stored(folder, _tokens(folder), "c/*")


def zarr_metadata(folder: Path) -> Target:
    return _stored(folder, _tokens(folder), "zarr.json")


def parquet(folder: Path) -> Target:
    write_table(folder / "object.parquet", "dataset", pd.DataFrame({"x": range(200), "y": "text"}))
    return _stored(folder, folder / "object.parquet", "*")


def raw_parquet(folder: Path) -> Target:
    """As a library's user reads one, where no store vouches for it; so the Zarr groups below."""
    file = folder / "table.parquet"
    write_table(file, "dataset", pd.DataFrame({"x": range(200), "y": "text"}))
    return Target(file, bytes_alone, lambda: read_table(file, "dataset"))


def raw_document(folder: Path) -> Target:
    file = folder / "document.json"
    write_json(file, "quality", {"sites": ["1"], "of": {"en": [1.5, None]}})
    return Target(file, json_too, lambda: read_json(file, "quality"))


def raw_tokens(folder: Path) -> Target:
    group = _tokens(folder)
    file = max(group.glob("*/c/*"), key=lambda path: path.stat().st_size)
    return Target(file, bytes_alone, lambda: read_tokens(group))


def raw_zarr_metadata(folder: Path) -> Target:
    group = _tokens(folder)
    return Target(group / "zarr.json", json_too, lambda: read_tokens(group))


def raw_array_metadata(folder: Path) -> Target:
    group = write_site(folder / "site.zarr", np.ones((40, 8), dtype=np.float32))

    def read() -> None:
        found = Activations(group)
        found.norms()
        found.read(0, len(found))

    return Target(group / "values/zarr.json", json_too, read)


def raw_codes_metadata(folder: Path) -> Target:
    codes = np.eye(8, dtype=np.float32).repeat(5, axis=0)
    group = write_dense_codes(folder / "codes.zarr", codes, sae="a", roles=["caption"])

    def read() -> None:
        Codes(group).rows(0, 8)

    return Target(group / "zarr.json", json_too, read)


def raw_activations(folder: Path) -> Target:
    values = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)
    group = write_site(folder / "site.zarr", values)
    (file,) = (path for path in (group / "values/c").rglob("*") if path.is_file())
    return Target(file, bytes_alone, lambda: Activations(group).read(0, 400))


TARGETS = (
    {
        target.__name__: target
        for target in (
            study, lexicon, captions, sae_weights, sae_config, sparsify_config, sae_state_dict, sae_npz, gguf, png, jpeg,
            webp, lease, record, memory, checkpoint, zarr_chunk, zarr_metadata, parquet, raw_parquet, raw_document,
            raw_tokens, raw_zarr_metadata, raw_array_metadata, raw_codes_metadata,
            raw_activations,
        )
    }
    | SOURCES
    | MODELS
)  # fmt: skip
