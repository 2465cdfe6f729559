"""All of a training run that changes with its steps, and the checkpoint that brings it back bit by bit."""

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from crosslens.errors import InputError
from crosslens.sae.architectures.base import Architecture, Normalisation
from crosslens.sae.model import SAE
from crosslens.store.durable import checksum, replace_durably
from crosslens.store.remove import remove
from crosslens.tables.tensors import save_tensors

log = logging.getLogger(__name__)

MOMENTS = ("exp_avg", "exp_avg_sq")
UNSEALED = b"crc32:00000000"
"""In the place of a checkpoint's own checksum when that is taken."""


@dataclass
class TrainState:
    """The state after `step` steps. The place in the token stream follows from `step`; nothing else is random."""

    model: Architecture
    """Its parameters are those of normalised activations."""
    optimizer: torch.optim.Adam
    reads: Normalisation
    """Of what is encoded."""
    writes: Normalisation
    """Of what is reconstructed; the same as `reads` but for a transcoder."""
    silent: Tensor
    """(F) int64: tokens since each feature last fired."""
    step: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)
    """Points of the training curve so far."""

    @property
    def dead(self) -> Tensor:
        """(F) bool: the features that have been silent for more than `dead_after_tokens`."""
        return self.silent > self.model.config.dead_after_tokens

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of the state by name; those of the optimizer once it has made a step."""
        named = {"silent": self.silent, **self.model.state_dict()}
        for side in ("reads", "writes"):
            named[f"centre.{side}"] = getattr(self, side).centre
        for name, parameter in self.model.named_parameters():
            for moment in MOMENTS:
                if moment in self.optimizer.state[parameter]:
                    named[f"{moment}.{name}"] = self.optimizer.state[parameter][moment]
        return named

    def exported(self) -> SAE:
        """The SAE for raw activations: normalisation folded in, decoder rows of unit norm."""
        return self.model.exported(self.reads, self.writes)


def save_checkpoint(path: Path, state: TrainState, run: dict[str, Any]) -> None:
    """Write `state` to `path`, whole or not at all. `run` says which run it belongs to."""
    document = {
        "seal": UNSEALED.decode(),
        "run": run,
        "step": state.step,
        "scales": [state.reads.scale, state.writes.scale],
        "fast": state.model.fast,
        "curve": state.curve,
    }
    # written from where they lie: a copy would be as large as the state
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors().items()}
    # an SAE reads and writes by one normalisation, and a file does not hold one tensor under two names
    tensors["centre.writes"] = tensors["centre.writes"].clone()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    save_tensors(tensors, temporary, metadata={"crosslens": json.dumps(document)})
    with temporary.open("r+b") as file:
        file.seek(_seal_place(temporary))
        file.write(_seal_of(temporary))
    replace_durably(path, temporary)
    log.info("checkpoint after step %d: %s", state.step, path)


@torch.no_grad()
def load_checkpoint(path: Path, state: TrainState, run: dict[str, Any]) -> None:
    """Bring `state` (fresh, of the same run) to where the checkpoint at `path` was written.

    A damaged one is removed, with a line in the log: training begins anew.
    """
    if _is_whole(path):
        with safe_open(path, framework="pt") as file:
            _restore(path, file, state, run)
    else:
        log.warning("%s is damaged and not used: training begins anew", path)
        remove(path)


def _seal_place(path: Path) -> int:
    """Where the checksum's first byte is: the file begins with its metadata. -1 if there is none."""
    with path.open("rb") as file:
        return file.read(4096).find(UNSEALED[:6])


def _seal_of(path: Path) -> bytes:
    """The checksum of all bytes, its own place taken as `UNSEALED`."""
    return b"crc32:%08x" % checksum(path, instead={_seal_place(path): UNSEALED})


def _is_whole(path: Path) -> bool:
    if not path.is_file() or (place := _seal_place(path)) < 0:
        return False
    with path.open("rb") as file:
        file.seek(place)
        return file.read(len(UNSEALED)) == _seal_of(path)


def _restore(path: Path, file: safe_open, state: TrainState, run: dict[str, Any]) -> None:
    document = json.loads(file.metadata()["crosslens"])
    if document["run"] != run:
        raise InputError(
            path,
            found=f"a checkpoint of {document['run']}",
            expected=str(run),
            mend="delete the file to begin anew",
        )
    state.step, state.curve = document["step"], document["curve"]
    state.reads, state.writes = (
        normalisation._replace(scale=scale)
        for normalisation, scale in zip((state.reads, state.writes), document["scales"], strict=True)
    )
    # the kernels decide last bits: a run ends with those that it began with
    state.model.fast = document["fast"]
    for parameter in state.model.parameters() if state.step else ():
        state.optimizer.state[parameter] = {
            "step": torch.tensor(float(state.step), device=parameter.device),
            **{moment: torch.zeros_like(parameter) for moment in MOMENTS},
        }
    # one at a time: all together are as large as the state
    for name, tensor in state.tensors().items():
        tensor.copy_(file.get_tensor(name))
