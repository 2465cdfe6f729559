"""The model of a study: where it is, what decides its numbers, and its sizes as far as they can be known."""

import json
import re
from functools import cached_property
from pathlib import Path
from typing import Any

from crosslens.models.families import gguf_config
from crosslens.models.packages import PACKAGED, PackagedModel
from crosslens.store.digests import FileDigests, digest
from crosslens.store.fingerprint import imported_beside
from crosslens.study.settings import StudySettings

COMMIT = re.compile(r"[0-9a-f]{40}")
# What transformers reads of a model folder; cards and other words do not decide numbers.
MODEL_FILES = re.compile(
    r".*\.(safetensors|model(\.v\d+)?|jinja|tiktoken)|(config|generation_config|tokenizer.*|.*processor_config|special_tokens_map"
    r"|added_tokens|vocab|adapter_config|tekken|chat_template|.*\.safetensors\.index)\.json|(merges|vocab)\.txt"
)
ARCHITECTURES = Path("resources/architectures")
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
        """What artifacts call it: the hub id, the package's name, or the last part of a local path."""
        if self.gguf is not None:
            return self.gguf.stem
        return self.folder.name if self.folder else self.id.split(":")[-1]

    @property
    def shipped(self) -> Path:
        """Where its sizes are, if they came with crosslens: its config.json, with one entry more, `parameters`."""
        return ARCHITECTURES / f"{self.id.split(':')[-1].replace('/', '--')}.json"

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
            return self._package.config
        if self.gguf is not None:
            return gguf_config(self.gguf)
        if self.folder is None:
            return json.loads(self.shipped.read_text(encoding="utf-8")) if self.shipped.is_file() else {}
        file = self.folder / "config.json"
        if not file.is_file():
            self.settings.fail(
                "model.id", f"no config.json in {self.folder}", "a model folder", "correct the path"
            )
        return json.loads(file.read_text(encoding="utf-8"))

    @property
    def _text_config(self) -> dict[str, Any]:
        return self.config.get("text_config", self.config)

    @property
    def depth(self) -> int | None:
        """The number of blocks, where that is known."""
        return self._text_config.get("num_hidden_layers")

    @property
    def d_model(self) -> int:
        """Width of the residual stream, where that is known; else 4096, to ask for enough memory."""
        return self._text_config.get("hidden_size", 4096)

    @property
    def heads(self) -> int:
        """Of attention in a block, where that is known; else 32."""
        return self._text_config.get("num_attention_heads", 32)

    @property
    def files(self) -> list[Path]:
        """Those of the user's that are read to load it; `identity` has their digests."""
        return [*self._adapter, *self._weights]

    @cached_property
    def _adapter(self) -> list[Path]:
        """The user's adapter and the modules beside it that it imports."""
        if (adapter := self.settings["model"]["adapter"]) is None:
            return []
        try:
            return imported_beside(Path(adapter))
        except (SyntaxError, ValueError) as error:
            self.settings.fail("model.adapter", f"{adapter}: {error}", "a Python file", "correct the file")

    @property
    def _weights(self) -> list[Path]:
        if self.folder is None:
            return []
        found = [path for path in self.folder.iterdir() if MODEL_FILES.fullmatch(path.name)]
        return sorted([*found, *self.folder.glob("additional_chat_templates/*.jinja")])

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What decides its numbers: name, revision or digest of its files, dtype, attention."""
        model = self.settings["model"]
        identity = {"name": self.name, "dtype": model["dtype"], "attention": model["attention"]}
        if model["adapter"] is not None:
            folder = Path(model["adapter"]).parent
            identity["adapter"] = {
                file.relative_to(folder).as_posix(): self._digests(file) for file in self._adapter
            }
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
        return {
            **identity,
            "weights": digest(
                [[path.relative_to(self.folder).as_posix(), self._digests(path)] for path in self._weights]
            ),
        }
