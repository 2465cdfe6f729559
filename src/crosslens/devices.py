"""Which processor computes."""

import torch

from crosslens.errors import InputError


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


def choose_training_device(device: str) -> torch.device:
    """Where SAEs are trained when models run on `device`: there, but on the CPU rather than on MPS.

    MPS has neither float64, in which an SAE's scale is summed, nor the sparse products of its steps.
    """
    chosen = choose_device(device)
    return torch.device("cpu") if chosen.type == "mps" else chosen
