"""Loading a model with everything that turns samples into its inputs."""

import hashlib
import importlib.util
import logging
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoTokenizer,
)
from transformers.utils import find_adapter_config_file

from crosslens.devices import choose_device
from crosslens.errors import InputError
from crosslens.models.adapters import Adapter, adapter_for, declare, known_adapter
from crosslens.models.parts import check_parts
from crosslens.models.random_init import randomise
from crosslens.models.refused import adapter_of_peft, quantised
from crosslens.models.sites import Site, parse_site
from crosslens.models.unreadable import unreadable
from crosslens.paths import is_path

log = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
ATTENTION = ("eager", "sdpa")
CONVERTED = re.compile(r".*\.(model(\.\w+)?|tiktoken)|tekken\.json")
"""Files of which a tokenizer is made by packages beside transformers."""
SPARE = 1 << 22
"""Parameters that a model may have beyond twice those of its weights: the precise check comes with loading."""


@dataclass(frozen=True)
class LoadedModel:
    """A model in evaluation mode, its parameters frozen."""

    id: str
    """As it was asked for: a hub id or a folder."""
    model: Any
    """The transformers model."""
    processor: Any | None
    """The transformers processor of a vision-language model; None for a text-only one."""
    tokenizer: Any
    """The fast tokenizer."""
    adapter: Adapter
    """Where the parts of this family of models are."""
    device: torch.device
    """Where inputs go; with a device map other parts of the model may be elsewhere."""
    called: str | None = None
    """What artifacts call it, where that is neither hub id nor folder."""
    batch_tokens: int | None = None
    """Tokens of one forward pass at most, so also of a sample; None where nobody has said."""
    prepend_bos: bool = False
    """Whether texts without a chat template begin with BOS though the tokenizer puts none there."""

    @property
    def name(self) -> str:
        """What artifacts call it: the hub id, or the last part of a folder, wherever that lies on this machine."""
        folder = Path(self.id).expanduser()
        return self.called or (folder.name if folder.is_dir() else self.id)

    @property
    def n_layers(self) -> int:
        """Number of decoder blocks."""
        return len(self.adapter.blocks)

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(self.adapter.text_config.hidden_size)


def load_model(
    id: str,
    *,
    revision: str | None = None,
    dtype: str = "float32",
    device: str = "auto",
    attention: str = "eager",
    device_map: str | dict[str, Any] | None = None,
    adapter: str | None = None,
    name: str | None = None,
    batch_tokens: int | None = None,
    random_init: int | None = None,
    prepend_bos: bool = False,
) -> LoadedModel:
    """Load a hub model (by id and revision) or a local folder.

    dtype: "float32", "bfloat16" or "float16" compute; float16 is refused for families whose residuals overflow it.
    device: "auto" is the first of cuda, mps and cpu that is there. device_map, in place of a device, spreads a model
    that is larger than one GPU: "auto" or {part: device}, as accelerate takes it. adapter: a Python file that declares
    the model's family (see crosslens.models.adapters). name: what artifacts call it, in the place of hub id or folder.
    batch_tokens: of one forward pass at most; longer samples are refused (see crosslens.models.lengths). random_init: a
    seed, for the model as it would be without training (see crosslens.models.random_init). prepend_bos: begin texts that
    have no chat template with the tokenizer's BOS, which GPT-2's does not, and TransformerLens does.
    A folder with a SHA256SUMS is checked against it. Raises InputError for a missing model, an edited file, an unknown
    family and bad settings.
    """
    _check_settings(id, dtype, attention)
    if adapter is not None:
        declare(Path(adapter))
    target = choose_device(device) if device_map is None else _check_device_map(device)
    folder = Path(id).expanduser()
    local = folder.is_dir()
    if local:
        check_digests(folder)
    source = str(folder) if local else id
    # Without a word on it transformers would ask whoever sits there whether to run code that comes with the model.
    pinned = {"trust_remote_code": False} | ({} if local or revision is None else {"revision": revision})
    # Weights in other formats are in no key, and can be pickles.
    options = dict(pinned, dtype=DTYPES[dtype], attn_implementation=attention, use_safetensors=True)
    # `_check_whole` says what of the weights does not fit.
    options |= {"output_loading_info": True, "ignore_mismatched_sizes": True}
    if device_map is not None:
        options["device_map"] = device_map
    try:
        if find_adapter_config_file(source, revision=pinned.get("revision")):
            raise InputError(id, **adapter_of_peft(id)._asdict())
        config = AutoConfig.from_pretrained(source, **pinned)
        if refusal := quantised(config.to_dict()):
            raise InputError(id, **refusal._asdict())
        family = adapter_for(config.model_type, id)
        if dtype == "float16":
            _check_float16(id, family, known_adapter(config.get_text_config().model_type))
        if family.is_vision:
            # The other backend is there or not on a machine, and gives other pixels.
            processor = family.processor_class.from_pretrained(source, backend="pil", **pinned)
            tokenizer, kind = processor.tokenizer, AutoModelForImageTextToText
        else:
            processor = None
            # Mistral's own package would take the place of tokenizer.json wherever it is installed.
            tokenizer = AutoTokenizer.from_pretrained(source, mistral_format=False, **pinned)
            kind = AutoModelForCausalLM
        # Looked up by transformers without end where the unknown token is unknown itself: better here than in the first text.
        _ = tokenizer.unk_token_id, tokenizer.all_special_ids
        if local:
            _check_size(folder, kind, config)
        model, info = kind.from_pretrained(source, **options)
    except (InputError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # of transformers, tokenizers and Pydantic: whatever a broken file leads to
        raise unreadable(id, revision, local, error) from error
    parts = family(model, processor, tokenizer)
    check_parts(parts)
    _check_whole(id, parts, info)
    _check_tokenizer(id, tokenizer)
    if prepend_bos and tokenizer.bos_token is None:
        raise InputError(
            "model.prepend_bos",
            found=f"a tokenizer of {id} without BOS",
            expected="one that has it",
            mend="leave prepend_bos out",
        )
    if random_init is not None:
        randomise(model, random_init)
    if device_map is None:
        model = model.to(target)
    else:
        # Parts that are kept in memory or on disk are on `meta` until they run.
        places = (parameter.device for parameter in model.parameters())
        target = next((place for place in places if place.type != "meta"), torch.device("cpu"))
    if target.type == "cuda":
        # TF32 convolutions (the patch embedding) and searched kernels change the last bits from run to run.
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
    model = model.eval().requires_grad_(False)
    loaded = LoadedModel(id, model, processor, tokenizer, parts, target, name, batch_tokens, prepend_bos)
    log.info(
        "loaded %s (%s, %d blocks, d_model %d) as %s on %s",
        id,
        config.model_type,
        loaded.n_layers,
        loaded.d_model,
        dtype,
        target,
    )
    return loaded


def check_sites(loaded: LoadedModel, sites: Iterable[str | Site]) -> list[Site]:
    """The sites, parsed; InputError for a layer that the model does not have."""
    parsed = [parse_site(site) for site in sites]
    for site in parsed:
        if site.layer >= loaded.n_layers:
            raise InputError(
                f"site {site}",
                found=f"layer {site.layer}",
                expected=f"0 to {loaded.n_layers - 1}: {loaded.id} has {loaded.n_layers} blocks",
                mend="correct the sites of the study",
            )
    return parsed


def check_digests(folder: Path) -> None:
    """Check every file that the folder's SHA256SUMS names, if there is one; InputError for the first that differs."""
    sums = folder / "SHA256SUMS"
    if not sums.is_file():
        return
    for line in sums.read_text(encoding="utf-8").splitlines():
        if not line.strip():
            continue
        expected, _, name = line.partition(" ")
        name = name.strip().removeprefix("*").strip()
        path = folder / name
        if not is_path(name) or not path.is_file():
            raise InputError(
                path, found="no file", expected=f"the file named in {sums}", mend="restore the folder"
            )
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != expected:
            raise InputError(
                path,
                found=f"sha256 {found}: the digest does not match",
                expected=f"{expected} as {sums.name} says",
                mend="restore the file, or make a new folder with its own SHA256SUMS for a changed model",
            )


def _check_settings(id: str, dtype: str, attention: str) -> None:
    if id.startswith("package:") or (id.endswith(".gguf") and not Path(id).expanduser().is_dir()):
        raise InputError(
            "model.id",
            found=id,
            expected="a hub id or the folder of a model",
            mend=f"convert it once with crosslens.models.gguf.prepare_model(source={id!r}, out=FOLDER), and name FOLDER",
        )
    if dtype not in DTYPES:
        raise InputError(
            "model.dtype",
            found=repr(dtype),
            expected=" or ".join(DTYPES),
            mend="use bfloat16 for half the memory of float32",
        )
    if attention not in ATTENTION:
        raise InputError(
            "model.attention",
            found=repr(attention),
            expected=" or ".join(ATTENTION),
            mend="use eager, the slower one whose numbers do not depend on a kernel choice",
        )


def _check_float16(id: str, *families: type[Adapter] | None) -> None:
    """InputError where the model's family, or that of the language model inside it, cannot be computed in float16."""
    for family in families:
        if family is not None and family.overflows_float16:
            raise InputError(
                "model.dtype",
                found=f"'float16' for {id}",
                expected="float32 or bfloat16",
                mend=f"use bfloat16: float16 ends at 65,504, and {family.overflows_float16}",
            )


def _check_whole(id: str, parts: Adapter, info: dict[str, Any]) -> None:
    """InputError unless the weights are those of all parameters, and of no further blocks: transformers would go on."""
    kind = type(parts.model).__name__
    if missing := sorted(info["missing_keys"]):
        raise InputError(
            id,
            found=f"no weights for {len(missing)} parameters, {missing[0]} among them",
            expected=f"a whole {kind}",
            mend="save the whole model with save_pretrained, or choose another revision",
        )
    if other := sorted(info["mismatched_keys"]):
        name, stored, configured = other[0]
        raise InputError(
            id,
            found=f"weights of another size for {len(other)} parameters: {name} {tuple(stored)}",
            expected=f"{tuple(configured)}, as config.json says",
            mend="fetch config.json and the weights again, both of one revision",
        )
    first = next(name for name, module in parts.model.named_modules() if module is parts.blocks[0])
    block = re.compile(rf"(?:^|\.){first.split('.')[-2]}\.(\d+)\..*weight$")
    numbers = [int(found[1]) for key in info["unexpected_keys"] if (found := block.search(key))]
    # Other keys that no parameter has are harmless: masks of GPT-2, positions that are computed.
    if numbers and max(numbers) >= len(parts.blocks):
        raise InputError(
            id,
            found=f"weights of {max(numbers) + 1} blocks",
            expected=f"{len(parts.blocks)}, as config.json says",
            mend="fetch config.json again: the model would end before its last block",
        )


def _check_size(folder: Path, kind: Any, config: Any) -> None:
    """InputError where config.json tells of far more parameters than there are weights.

    transformers would make all of them, whatever memory that takes, before it says which are missing.
    """
    sizes = []
    for file in folder.rglob("*.safetensors"):
        with safe_open(file, framework="pt") as tensors:
            sizes += [math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys()]
    held, blocks = sum(sizes), config.get_text_config().num_hidden_layers
    if not sizes:
        return  # transformers says that they are missing
    if blocks > len(sizes):
        told = f"{blocks:,} blocks"
    else:
        with torch.device("meta"):
            parameters = sum(parameter.numel() for parameter in kind.from_config(config).parameters())
        told = f"{parameters:,} parameters" if parameters > 2 * held + SPARE else None
    if told:
        raise InputError(
            folder,
            found=f"a config.json of {told}, and weights of {held:,} parameters in {len(sizes):,} tensors",
            expected="both of one model",
            mend="fetch config.json and the weights again, both of one revision",
        )


def _check_tokenizer(id: str, tokenizer: Any) -> None:
    if not tokenizer.is_fast:
        raise InputError(
            id,
            found="a tokenizer without character offsets",
            expected="a fast tokenizer (tokenizer.json)",
            mend="use a revision of the model that ships tokenizer.json",
        )
    made_of = Path(getattr(tokenizer, "vocab_file", None) or "tokenizer.json")
    if CONVERTED.fullmatch(made_of.name) and not made_of.with_name("tokenizer.json").is_file():
        raise InputError(
            id,
            found=f"a tokenizer that is made of {made_of.name} whenever it is loaded",
            expected="tokenizer.json: what sentencepiece, tiktoken or mistral-common, whichever is installed, make of others "
            "is in no key",
            mend=f"save it once with AutoTokenizer.from_pretrained({id!r}).save_pretrained(FOLDER), beside the weights",
        )
    if not set(tokenizer.get_vocab().values()) - set(tokenizer.added_tokens_decoder):
        # transformers makes an empty one where the file is missing: every text would be unknown tokens, or none.
        raise InputError(
            id,
            found="a tokenizer that knows no text",
            expected="the model's tokenizer.json",
            mend="save the tokenizer there with save_pretrained, or fetch tokenizer.json again",
        )


def _check_device_map(device: str) -> torch.device:
    """A stand-in until the model is there; InputError where no device map can be used."""
    if device != "auto":
        raise InputError(
            "model.device",
            found=f"{device!r} together with model.device_map",
            expected="one of the two",
            mend="leave model.device at auto",
        )
    if importlib.util.find_spec("accelerate") is None:
        raise InputError(
            "model.device_map",
            found="no package accelerate",
            expected="it installed, to spread a model over devices",
            mend="pip install accelerate, or leave device_map out",
        )
    return torch.device("cpu")
