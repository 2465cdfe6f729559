"""Why a model cannot be read, in words, and what mends it."""

from pathlib import Path

import transformers
from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    StrictDataclassError,
)
from safetensors import SafetensorError, safe_open

from crosslens.errors import InputError
from crosslens.models.families import model_types


def unreadable(id: str, revision: str | None, local: bool, error: Exception) -> InputError:
    """What `error`, raised while the model was read, says of the model, its folder or the hub."""
    if "attn_implementation" in str(error):
        return InputError(
            "model.attention",
            found=f"one that {id} does not have ({_first_line(error)})",
            expected="one that it has",
            mend="use eager",
        )
    if "custom code" in str(error) or "not recognize this architecture" in str(error):
        return InputError(
            id,
            found=f"a model of an architecture that transformers {transformers.__version__} does not have "
            f"({_first_line(error)})",
            expected=f"one of {', '.join(sorted(model_types()))}",
            mend="choose a model of these families; code that comes with a model is never run",
        )
    if isinstance(error, StrictDataclassError):
        return InputError(
            id,
            found=f"a config.json that contradicts itself ({' '.join(str(error).split())})",
            expected="the configuration of a model",
            mend=_again("config.json", id, revision, local),
        )
    if isinstance(error, SafetensorError):
        name = _broken_weights(Path(id).expanduser()) if local else "weights"
        return InputError(
            id,
            found=f"{name} cut off or broken ({_first_line(error)})",
            expected="whole safetensors",
            mend=_again(name, id, revision, local),
        )
    if local:
        return InputError(
            id,
            found=f"a folder that does not hold a whole model ({_kind(error)}{_first_line(error)})",
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
    if not isinstance(error, OSError | ValueError):
        return InputError(
            id,
            found=f"files that cannot be read ({_kind(error)}{_first_line(error)})",
            expected="those of a whole model",
            mend=_again("it", id, revision, local),
        )
    download = _download(id, revision)
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


def _again(file: str, id: str, revision: str | None, local: bool) -> str:
    if local:
        return f"fetch {file} again"
    return f"fetch it again with `{_download(id, revision)} --force-download`"


def _download(id: str, revision: str | None) -> str:
    return f"hf download {id}" + (f" --revision {revision}" if revision else "")


def _broken_weights(folder: Path) -> str:
    """The name of the first file of weights that cannot be opened."""
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="pt"):
                pass
        except SafetensorError:
            return path.name
    return "weights"


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


def _kind(error: Exception) -> str:
    """What its class says, of errors whose words alone say little."""
    return "" if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: "


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
