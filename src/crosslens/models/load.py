"""Loading a model with everything that turns samples into its inputs."""

import hashlib
import importlib.util
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoTokenizer,
)

from crosslens.devices import choose_device
from crosslens.errors import InputError
from crosslens.models.adapters import Adapter, adapter_for, declare
from crosslens.models.sites import Site, parse_site

log = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
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
    """Where inputs go; with a device map other parts of the model may be elsewhere."""

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
    device_map: str | dict[str, Any] | None = None,
    adapter: str | None = None,
) -> LoadedModel:
    """Load a hub model (by id and revision) or a local folder.

    dtype: "float32", "bfloat16" or "float16" compute; float16 is refused for families whose residuals overflow it.
    device: "auto" is the first of cuda, mps and cpu that is there. device_map, in place of a device, spreads a model
    that is larger than one GPU: "auto" or {part: device}, as accelerate takes it. adapter: a Python file that declares
    the model's family (see crosslens.models.adapters). A folder with a SHA256SUMS is checked
    against it. Raises InputError for a missing model, an edited file, an unknown family and bad settings.
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
    pinned = {} if local or revision is None else {"revision": revision}
    # Weights in other formats are in no key, and can be pickles.
    options = dict(pinned, dtype=DTYPES[dtype], attn_implementation=attention, use_safetensors=True)
    options["output_loading_info"] = True
    if device_map is not None:
        options["device_map"] = device_map
    try:
        config = AutoConfig.from_pretrained(source, **pinned)
        family = adapter_for(config.model_type, id)
        if dtype == "float16" and family.overflows_float16:
            raise InputError(
                "model.dtype",
                found=f"'float16' for {id}",
                expected="float32 or bfloat16",
                mend=f"use bfloat16: float16 ends at 65,504, and {family.overflows_float16}",
            )
        if family.is_vision:
            # The other backend is there or not on a machine, and gives other pixels.
            processor = family.processor_class.from_pretrained(source, backend="pil", **pinned)
            tokenizer = processor.tokenizer
            model, info = AutoModelForImageTextToText.from_pretrained(source, **options)
        else:
            processor = None
            tokenizer = AutoTokenizer.from_pretrained(source, **pinned)
            model, info = AutoModelForCausalLM.from_pretrained(source, **options)
    except (OSError, ValueError) as error:
        raise _unreadable(id, revision, local, error) from error
    _check_whole(id, model, tokenizer, info)
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


def _check_whole(id: str, model: Any, tokenizer: Any, info: dict[str, Any]) -> None:
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


def _unreadable(id: str, revision: str | None, local: bool, error: Exception) -> InputError:
    if "attn_implementation" in str(error):
        return InputError(
            "model.attention",
            found=f"one that {id} does not have ({_first_line(error)})",
            expected=" or ".join(ATTENTION),
            mend="use eager",
        )
    if local:
        return InputError(
            id,
            found=f"a folder that does not hold a whole model ({_first_line(error)})",
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
    download = f"hf download {id}{pin}"
    reason = _root(error)
    if isinstance(reason, GatedRepoError):
        return InputError(
            id,
            found="a model whose terms have to be accepted first",
            expected="access to it",
            mend=f"accept the terms on the model's page, log in with `hf auth login`, and run `{download}`",
        )
    if isinstance(reason, RevisionNotFoundError):
        return InputError(
            id,
            found=f"no revision {revision!r} of it",
            expected="a commit, tag or branch of the model",
            mend="correct model.revision",
        )
    if isinstance(reason, RepositoryNotFoundError):
        return InputError(
            id,
            found="no such model on the hub, or a private one",
            expected="the id of a model that this account can read",
            mend="correct model.id, or log in with `hf auth login`",
        )
    return InputError(
        id,
        found=f"neither a folder nor a whole model in the Hugging Face cache {_cached(id)}, and it could not be "
        f"downloaded ({_first_line(error)})",
        expected=f"a model that can be read from here{f' at revision {revision}' if revision else ''}",
        mend=f"where there is a network run `{download}` with HF_HOME set to a folder that this machine sees, "
        "or set model.id to a folder that holds the model",
    )


def _root(error: BaseException) -> BaseException:
    """The first hub error that led to this one, or the error itself."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, RepositoryNotFoundError | RevisionNotFoundError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return error


def _cached(id: str) -> str:
    """Where the cache is and what it has of a model, in words."""
    cache = Path(constants.HF_HUB_CACHE)
    snapshots = cache / f"models--{id.replace('/', '--')}" / "snapshots"
    found = sorted(path.name for path in snapshots.iterdir()) if snapshots.is_dir() else []
    return f"{cache} (it has {', '.join(found) if found else 'nothing'} of it)"


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
