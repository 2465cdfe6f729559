"""The files of an SAE, found and read without running anything that is in them."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from crosslens.errors import InputError
from crosslens.sae.exchange.foreign import Found
from crosslens.sae.exchange.said import config_file, weights_file
from crosslens.sae.io import read_safetensors
from crosslens.sae.layout import read_json_object


def open_files(path: Path) -> Found:
    """The weights and the configuration at `path`: a folder, or a file in one.

    Raises InputError unless there is one file of weights there that can be read without unpickling.
    """
    weights = weights_file(path)
    config = config_file(weights)
    return Found(weights, read_tensors(weights), config, read_json_object(config) if config else {})


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors in a .safetensors, .npz or .pt file, by name; InputError of anything else and of pickled objects."""
    readers = {".safetensors": read_safetensors, ".npz": _read_npz, ".pt": _read_pt}
    if path.suffix not in readers:
        raise InputError(
            path,
            found=f"a {path.suffix or 'nameless'} file",
            expected=f"weights in {', '.join(readers)}",
            mend="name the folder of the SAE, or its file of weights",
        )
    return readers[path.suffix](path)


def _read_npz(path: Path) -> dict[str, Tensor]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    # numpy tells damage, pickled arrays and dtypes that torch lacks by half a dozen types
    except Exception as error:
        raise _unreadable(path, error, "an .npz file of plain number arrays") from error


def _read_pt(path: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    # torch tells damage and refused objects by as many
    except Exception as error:
        raise _unreadable(path, error, "a state_dict that loads with weights_only") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise _unreadable(path, f"a {type(state).__name__} of other things", "a state_dict of tensors")
    return {name: tensor.detach() for name, tensor in state.items()}


def _unreadable(path: Path, found: object, expected: str) -> InputError:
    reason = str(found).strip().splitlines() or [type(found).__name__]
    return InputError(
        path,
        found=reason[0],
        expected=expected,
        mend="fetch it again, or have its author save plain tensors; pickled objects are not read",
    )
