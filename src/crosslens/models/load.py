"""Loading a model with everything that turns samples into its inputs."""

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
)

from crosslens.errors import InputError
from crosslens.models.adapters import Adapter, adapter_for
from crosslens.models.sites import Site, parse_site

log = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
ATTENTION = ("eager", "sdpa")


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

    @property
    def name(self) -> str:
        """What artifacts call it: the hub id, or the last part of a folder, wherever that lies on this machine."""
        return folder.name if (folder := Path(self.id).expanduser()).is_dir() else self.id

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
) -> LoadedModel:
    """Load a hub model (by id and revision) or a local folder.

    dtype: "float32" or "bfloat16" compute; float16 is refused because residuals overflow it. device: "auto" is the
    first of cuda, mps and cpu that is there. A folder with a SHA256SUMS is checked against it.
    Raises InputError for a missing model, an edited file, an unknown family and bad settings.
    """
    if dtype not in DTYPES:
        raise InputError(
            "model.dtype",
            found=repr(dtype),
            expected=" or ".join(DTYPES),
            mend="use bfloat16 for half the memory: float16 ends at 65,504 and Gemma-3 residuals reach 800,000",
        )
    if attention not in ATTENTION:
        raise InputError(
            "model.attention",
            found=repr(attention),
            expected=" or ".join(ATTENTION),
            mend="use eager, the slower one whose numbers do not depend on a kernel choice",
        )
    target = choose_device(device)
    folder = Path(id).expanduser()
    local = folder.is_dir()
    if local:
        check_digests(folder)
    source = str(folder) if local else id
    pinned = {} if local or revision is None else {"revision": revision}
    options = dict(pinned, dtype=DTYPES[dtype], attn_implementation=attention, output_loading_info=True)
    try:
        config = AutoConfig.from_pretrained(source, **pinned)
    except (OSError, ValueError) as error:
        raise _missing(id, revision, local) from error
    try:
        family = adapter_for(config.model_type, id)
        if family.is_vision:
            processor = AutoProcessor.from_pretrained(source, **pinned)
            tokenizer = processor.tokenizer
            model, info = AutoModelForImageTextToText.from_pretrained(source, **options)
        else:
            processor = None
            tokenizer = AutoTokenizer.from_pretrained(source, **pinned)
            model, info = AutoModelForCausalLM.from_pretrained(source, **options)
    except OSError as error:
        raise _missing(id, revision, local) from error
    if missing := sorted(info["missing_keys"]):
        # transformers would go on with random weights in their place.
        raise InputError(
            id,
            found=f"no weights for {len(missing)} parameters, {missing[0]} among them",
            expected=f"a whole {type(model).__name__}",
            mend="save the whole model with save_pretrained, or choose another revision",
        )
    if not tokenizer.is_fast:
        raise InputError(
            id,
            found="a tokenizer without character offsets",
            expected="a fast tokenizer (tokenizer.json)",
            mend="use a revision of the model that ships tokenizer.json",
        )
    if target.type == "cuda":
        # TF32 convolutions (the patch embedding) and searched kernels change the last bits from run to run.
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
    model = model.to(target).eval().requires_grad_(False)
    loaded = LoadedModel(id, model, processor, tokenizer, family(model, processor, tokenizer), target)
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


def choose_device(device: str) -> torch.device:
    """The named device; for "auto" the first of cuda, mps and cpu that is there."""
    there = {
        "cuda": torch.cuda.is_available,
        "mps": torch.backends.mps.is_available,
        "cpu": lambda: True,
    }
    if device == "auto":
        return torch.device(next(name for name, is_there in there.items() if is_there()))
    if device not in there or not there[device]():
        usable = [name for name, is_there in there.items() if is_there()]
        raise InputError(
            "model.device",
            found=repr(device),
            expected=f"auto or one that is here: {', '.join(usable)}",
            mend="set model.device to auto",
        )
    return torch.device(device)


def check_digests(folder: Path) -> None:
    """Check every file that the folder's SHA256SUMS names, if there is one; InputError for the first that differs."""
    sums = folder / "SHA256SUMS"
    if not sums.is_file():
        return
    for line in sums.read_text(encoding="utf-8").splitlines():
        if not line.strip():
            continue
        expected, _, name = line.partition(" ")
        path = folder / name.strip().removeprefix("*").strip()
        if not path.is_file():
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


def _missing(id: str, revision: str | None, local: bool) -> InputError:
    if local:
        return InputError(
            id,
            found="a folder that does not hold a whole model",
            expected="config.json, weights in safetensors, tokenizer.json (and the processor's files)",
            mend="save the model and its processor there with save_pretrained",
        )
    if Path(id).expanduser().is_absolute() or id.startswith(("./", "../", "~")) or id.count("/") > 1:
        return InputError(
            id,
            found="no such folder",
            expected="the folder of a model",
            mend="correct model.id (paths are relative to the working directory) or make the folder",
        )
    pin = f" --revision {revision}" if revision else ""
    return InputError(
        id,
        found="neither a folder nor a model in the Hugging Face cache, and it could not be downloaded",
        expected="a model that can be read from here",
        mend=f"where there is a network run `hf download {id}{pin}` with HF_HOME set to a folder that this machine "
        "sees, or set model.id to a folder that holds the model",
    )
