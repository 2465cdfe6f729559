"""The model of a study: where it is, what decides its numbers, and its sizes as far as they can be known."""

import contextlib
import json
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from crosslens.errors import InputError
from crosslens.models.families import gguf_config
from crosslens.models.packages import PACKAGED, PackagedModel
from crosslens.models.picture_tokens import picture_tokens
from crosslens.models.refused import ADAPTER_CONFIG, adapter_of_peft
from crosslens.paths import is_path
from crosslens.sae.exchange.names import hub_id
from crosslens.store.checkout import checkout
from crosslens.store.digests import FileDigests, digest
from crosslens.store.fingerprint import packages_of
from crosslens.store.imports import imported_beside
from crosslens.study.settings import StudySettings
from crosslens.study.words import nearest

COMMIT = re.compile(r"[0-9a-f]{40}")
HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", re.ASCII)
# What transformers reads of a model folder; cards and other words do not decide numbers.
MODEL_FILES = re.compile(
    r".*\.(safetensors|model(\.v\d+)?|jinja|tiktoken)|(config|generation_config|tokenizer.*|.*processor_config|special_tokens_map"
    r"|added_tokens|vocab|tekken|chat_template|.*\.safetensors\.index)\.json|(merges|vocab)\.txt"
)
ARCHITECTURES = checkout() / "resources/architectures"
"""Sizes of models that are not on this machine, `owner--name.json`."""


class Model:
    """What the section `model` names: a hub id, a folder, a GGUF file, or one that Python packages hold."""

    def __init__(self, settings: StudySettings, digests: FileDigests):
        self.settings, self._digests = settings, digests

    @property
    def id(self) -> str:
        """As the study has it."""
        return self.settings["model"]["id"]

    @property
    def is_packaged(self) -> bool:
        """True for a model that Python packages hold."""
        return self.id.startswith("package:")

    @property
    def gguf(self) -> Path | None:
        """The GGUF file, if it is one."""
        return Path(self.id) if self.id.endswith(".gguf") else None

    @property
    def folder(self) -> Path | None:
        """The folder, if it is a local one."""
        folder = Path(self.id)
        return folder if folder.is_dir() else None

    @property
    def must_be_prepared(self) -> bool:
        """True for a model that a rule makes first, of a GGUF file or a package."""
        return self.is_packaged or self.gguf is not None

    @property
    def name(self) -> str:
        """What people call it: the hub id, also of a folder in the hub's cache, the package's name, or the last part of a
        local path."""
        if self.gguf is not None:
            return self.gguf.stem
        if self.folder and (fetched := hub_id(self.id)):
            return fetched
        return self.folder.name if self.folder else self.id.split(":")[-1]

    @cached_property
    def label(self) -> str:
        """What artifacts call it: the hub id, the package's name, or of local weights the beginning of their digest.

        A folder or file that is moved or renamed is the same model.
        """
        if self.gguf is not None and self.gguf.is_file():
            return f"weights:{self.prepared_from[:12]}"
        if self.folder is None:
            return self.name
        return (
            f"weights:{self._digest_of(file for file in self._weights if file.suffix == '.safetensors')[:12]}"
        )

    @property
    def shipped(self) -> Path:
        """Where its sizes are, if they came with crosslens: its config.json, with one entry more, `parameters`."""
        return ARCHITECTURES / f"{self.id.split(':')[-1].replace('/', '--')}.json"

    def id_faults(self) -> Iterator[InputError]:
        """What is wrong with the id: of a folder that it holds no whole model, else that there is no such model."""
        if self._place and (self._place / ADAPTER_CONFIG).is_file():
            yield self.settings.fault("model.id", *adapter_of_peft(self._place))
        if self.is_packaged:
            if self.name not in PACKAGED:
                known = [f"package:{name}" for name in PACKAGED]
                yield self.settings.fault(
                    "model.id", self.id, f"{', '.join(known)}{nearest(self.id, known)}", "name one of these"
                )
            return
        if self.folder or self.gguf:
            return
        owner = Path(self.id).parts[0] if self.id else ""
        pinned = COMMIT.fullmatch(self.settings["model"]["revision"] or "")
        # `resources/planetd` looks like a hub id, and so does the name of a folder without the way to it.
        as_folder = not HUB_ID.fullmatch(self.id) or (not pinned and Path(owner).is_dir())
        parent = Path(self.id).parent
        folders = [
            str(path)
            for path in (parent, ARCHITECTURES.parent)
            if path.is_dir()
            for path in path.iterdir()
            if path.is_dir()
        ]
        near = nearest(self.id, folders) or nearest(self.id, [Path(folder).name for folder in folders])
        if as_folder:
            yield self.settings.fault(
                "model.id",
                f"no folder {self.id}",
                f"a model's folder, relative to this checkout, or a hub id such as google/gemma-3-4b-it{near}",
                "correct the path",
            )
        elif not pinned and near:
            yield self.settings.fault(
                "model.id",
                f"{self.id}, which is no folder here, and no model.revision, which a hub model has",
                f"a folder, or a hub id and its revision{near}",
                "correct the path, or pin the revision",
            )

    @property
    def _fetched(self) -> Path | None:
        """Where the hub's cache has a pinned model, if it has."""
        revision = self.settings["model"]["revision"] or ""
        if self.must_be_prepared or not HUB_ID.fullmatch(self.id) or not COMMIT.fullmatch(revision):
            return None
        from huggingface_hub import constants

        return Path(constants.HF_HUB_CACHE, f"models--{self.id.replace('/', '--')}", "snapshots", revision)

    @property
    def _package(self) -> PackagedModel:
        return PACKAGED[self.name]

    @cached_property
    def prepared_from(self) -> str:
        """sha256 of the GGUF file that it is made of."""
        return self._package.sha256 if self.gguf is None else self._digests(self.gguf)

    @cached_property
    def config(self) -> dict[str, Any]:
        """Its config.json; of a hub model the one that is shipped, empty where there is none."""
        if self.is_packaged:
            return self._package.config if self.name in PACKAGED else {}
        if self.gguf is not None:
            return gguf_config(self.gguf) if self.gguf.is_file() else {}
        if self.folder is None:
            return json.loads(self.shipped.read_text(encoding="utf-8")) if self.shipped.is_file() else {}
        file = self.folder / "config.json"
        if not file.is_file():
            self.settings.fail(
                "model.id", f"no config.json in {self.folder}", "a model folder", "correct the path"
            )
        try:
            config = dict(json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            self.settings.fail(
                "model.id", f"no JSON object in {file} ({error})", "a model's", "fetch it again"
            )
        for where, key, value in _of_another_type(config):
            self.settings.fail("model.id", f"{where}{key} {value!r} in {file}", "a model's", "fetch it again")
        return config

    @property
    def has_rms_norms(self) -> bool:
        """Whether its norms are RMSNorms, which see the mean over channels; False where its sizes are not known."""
        return "rms_norm_eps" in self._text_config

    @property
    def _text_config(self) -> dict[str, Any]:
        return self.config.get("text_config", self.config)

    @property
    def depth(self) -> int | None:
        """The number of blocks, where that is known."""
        return self._text_config.get("num_hidden_layers")

    @property
    def known_width(self) -> int | None:
        """Width of the residual stream, where that is known."""
        return self._text_config.get("hidden_size")

    @property
    def d_model(self) -> int:
        """The same; where it is not known 4096, to ask for enough memory."""
        return self.known_width or 4096

    @property
    def heads(self) -> int:
        """Of attention in a block, where that is known; else 32."""
        return self._text_config.get("num_attention_heads", 32)

    def picture_tokens(self, size: tuple[int, int] | None) -> int | None:
        """Of the text, that a picture of (height, width) pixels takes, or the largest; None where that is not known."""
        return picture_tokens(self.config, size, self._pixels)

    @cached_property
    def _pixels(self) -> tuple[int, int]:
        """The fewest and the most that its processor scales a picture to; of Qwen2-VL, as published, where it does not say."""
        said: dict[str, Any] = {}
        for name in ("processor_config.json", "preprocessor_config.json") if self._place else ():
            with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
                found = json.loads((self._place / name).read_text(encoding="utf-8"))
                found = found.get("image_processor", found)
                said |= found.get("size") or {}
                said |= {name: found[name] for name in ("min_pixels", "max_pixels") if found.get(name)}
        least, most = (
            said.get(own) or said.get(edge) or usual
            for own, edge, usual in (
                ("min_pixels", "shortest_edge", 56**2),
                ("max_pixels", "longest_edge", 28**2 * 16384),
            )
        )
        return least, most

    @property
    def _place(self) -> Path | None:
        """Its folder, or where the hub's cache would have it."""
        return self.folder or self._fetched

    @property
    def files(self) -> list[Path]:
        """Those of the user's that are read to load it; `identity` has their digests."""
        return [*self._adapter, *self._weights]

    @cached_property
    def _adapter(self) -> list[Path]:
        """The user's adapter and the modules beside it that it imports; of a link beside what it leads to."""
        if (adapter := self.settings["model"]["adapter"]) is None:
            return []
        try:
            return imported_beside(Path(adapter).resolve())
        except (SyntaxError, ValueError) as error:
            self.settings.fail("model.adapter", f"{adapter}: {error}", "a Python file", "correct the file")

    @property
    def _weights(self) -> list[Path]:
        if self.folder is None:
            return []
        found = {path for path in self.folder.iterdir() if MODEL_FILES.fullmatch(path.name)}
        found.update(self.folder.glob("additional_chat_templates/*.jinja"))
        for index in self.folder.glob("*.index.json"):
            found.update(self._shards(index))
        return sorted(found)

    def _shards(self, index: Path) -> Iterator[Path]:
        """The files that an index of weights names, which may lie in a folder below."""
        try:
            names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError):
            self.settings.fail(
                "model.id", f"{index} without a weight_map", "an index of weights", "fetch it again"
            )
        for name in map(Path, map(str, names)):
            path = self.folder / name
            if name.is_absolute() or ".." in name.parts or not is_path(str(name)):
                self.settings.fail(
                    "model.id",
                    f"{str(name)[:100]} in {index}",
                    "files of the folder itself",
                    "put the weights into the folder",
                )
            if path.is_file():
                yield path

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What decides its numbers, and what artifacts call it: label, revision or digest of its files, dtype, attention."""
        model = self.settings["model"]
        identity = {"label": self.label, "dtype": model["dtype"], "attention": model["attention"]}
        if model["random_init"] is not None:
            identity["random_init"] = model["random_init"]
        if model["prepend_bos"]:
            identity["prepend_bos"] = True
        if model["adapter"] is not None:
            folder = Path(model["adapter"]).resolve().parent
            identity["adapter"] = {
                file.relative_to(folder).as_posix(): self._digests(file) for file in self._adapter
            }
            identity["packages"] = packages_of(self._adapter)
        if self.must_be_prepared:
            return {**identity, "gguf": self.prepared_from}
        if self.folder is None:
            if not COMMIT.fullmatch(model["revision"] or ""):
                self.settings.fail(
                    "model.revision",
                    f"{model['revision']!r} for {self.id}",
                    "the commit of the weights: what is computed from others would pass for the same",
                    f"pin it, in quotes: it stands on the model's page, and `hf models info {self.id}` prints it "
                    "as sha",
                )
            return {**identity, "revision": model["revision"]}
        return {**identity, "weights": self._digest_of(self._weights)}

    def _digest_of(self, files: Iterable[Path]) -> str:
        """Of files of the folder, by their names in it."""
        return digest([[path.relative_to(self.folder).as_posix(), self._digests(path)] for path in files])


def _of_another_type(config: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """What a config.json says that a model's would not: section, key and value."""
    inner = config.get("text_config", {})
    for name in ("text_config", "vision_config"):
        if name in config and not isinstance(config[name], dict):
            yield "", name, config[name]
    for where, section in (("", config), ("text_config.", inner if isinstance(inner, dict) else {})):
        for key in (
            "num_hidden_layers",
            "hidden_size",
            "num_attention_heads",
            "vocab_size",
            "mm_tokens_per_image",
        ):
            value = section.get(key)
            if value is not None and (not isinstance(value, int) or value < 1):
                yield where, key, value
        if not isinstance(section.get("model_type", ""), str):
            yield where, "model_type", section["model_type"]
