"""A model without its weights: its sizes from the configuration alone, and its tokenizer where that can be read."""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, AutoTokenizer

from crosslens.errors import InputError
from crosslens.models.adapters import Adapter, adapter_for
from crosslens.models.load import LoadedModel
from crosslens.models.picture_tokens import picture_tokens, token_side
from crosslens.store.checkout import checkout
from crosslens.study.study import Study


class Outline:
    """A model on torch's meta device, so that no weight is read or held."""

    def __init__(self, id: str, config: Any, source: str, basis: str):
        self.id, self.config, self.basis = id, config, basis
        family = adapter_for(config.model_type, id)
        build = AutoModelForImageTextToText if family.is_vision else AutoModelForCausalLM
        with torch.device("meta"):
            self.model = build.from_config(config)
        self.processor, self.tokenizer = _read_tokenizer(source, family)
        self.adapter = family(self.model, self.processor, self.tokenizer)

    @property
    def loaded(self) -> LoadedModel | None:
        """What `encode` needs, which reads no weight; None where the tokenizer cannot be read offline."""
        if self.tokenizer is None:
            return None
        return LoadedModel(
            self.id, self.model, self.processor, self.tokenizer, self.adapter, torch.device("meta")
        )

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(self.adapter.text_config.hidden_size)

    @cached_property
    def parameters(self) -> int:
        """Of the whole model, tied ones once."""
        return _count(self.model)

    def image_tokens(self) -> int:
        """Tokens that a picture takes in the text, where every picture takes the same number; else 0."""
        config = self.config.to_dict()
        return 0 if token_side(config) else picture_tokens(config, None, (0, 0)) or 0

    def text_flops(self, tokens: int, blocks: int) -> float:
        """Of one sample of so many tokens through the first blocks: 2 a weight and token, and 4 T² a head's width.

        The second term are the products of attention, causal or not: masked places are computed too.
        """
        sizes = self.adapter.text_config
        heads = sizes.num_attention_heads * getattr(
            sizes, "head_dim", sizes.hidden_size // sizes.num_attention_heads
        )
        weights = sum(_count(block) for block in self.adapter.blocks[:blocks])
        return 2.0 * weights * tokens + 4.0 * heads * tokens**2 * blocks

    def head_flops(self, tokens: float) -> float:
        """Of the logits of so many tokens."""
        return 2.0 * self.d_model * self.adapter.text_config.vocab_size * tokens

    @property
    def depth(self) -> int:
        """Blocks."""
        return len(self.adapter.blocks)

    def image_flops(self) -> float:
        """Of one picture through the vision tower: as above, with a token for each patch."""
        tower, sizes = self.adapter.vision_tower, getattr(self.config, "vision_config", None)
        if tower is None or not hasattr(sizes, "patch_size") or not hasattr(sizes, "image_size"):
            return 0.0
        patches = (sizes.image_size // sizes.patch_size) ** 2
        return 2.0 * _count(tower) * patches + 4.0 * sizes.hidden_size * patches**2 * sizes.num_hidden_layers


def outline(study: Study, config: Path | None = None) -> Outline:
    """The model of `study` by `config` (a config.json), its folder, the Hugging Face cache or what is shipped.

    Nothing is downloaded. InputError where none of them is there.
    """
    id = study.settings["model"]["id"]
    folder = study.model.folder
    made = Path("results", study.name, "model", study.model.name)
    if study.model.must_be_prepared and made.is_dir():
        folder = made
    revision = study.settings["model"]["revision"]
    if config is not None:
        return Outline(id, _read_config(config), str(folder or id), f"sizes of {config}")
    if folder is not None:
        return Outline(
            id, _read_config(folder / "config.json"), str(folder), f"sizes of {folder.name}/config.json"
        )
    shipped = study.model.shipped
    try:
        pinned = {"revision": revision} if revision else {}
        found = AutoConfig.from_pretrained(id, local_files_only=True, **pinned)
        return Outline(id, found, id, "sizes of its config.json in the Hugging Face cache")
    except (OSError, ValueError):
        if shipped.is_file():
            return Outline(id, _read_config(shipped), id, f"sizes of {shipped.relative_to(checkout())}")
    raise InputError(
        "model.id",
        found=f"{id}, whose config.json is not on this machine",
        expected="a folder, a model in the Hugging Face cache, or a configuration",
        mend=f"name its config.json: crosslens plan {study.name} --config FILE",
    )


def _read_config(path: Path) -> Any:
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        document.pop("parameters", None)  # no part of a config.json: see resources/architectures
        return AutoConfig.for_model(document.pop("model_type"), **document)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            path,
            found=f"no configuration ({type(error).__name__}: {error})",
            expected="a model's config.json",
            mend="name one",
        ) from error


def _read_tokenizer(source: str, family: type[Adapter]) -> tuple[Any, Any]:
    try:
        if family.is_vision:
            processor = family.processor_class.from_pretrained(source, local_files_only=True)
            return processor, processor.tokenizer
        return None, AutoTokenizer.from_pretrained(source, local_files_only=True)
    except (OSError, ValueError):
        if Path(source).is_dir():
            raise
        return None, None


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
