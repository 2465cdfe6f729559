"""All of a training run that changes with its steps, and the checkpoint that brings it back bit by bit."""

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from crosslens.errors import InputError
from crosslens.sae.model import TopKSAE
from crosslens.store.durable import replace_durably

log = logging.getLogger(__name__)

MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass
class TrainState:
    """The state after `step` steps. The place in the token stream follows from `step`; nothing else is random."""

    sae: TopKSAE
    """Its parameters are those of the normalised activations (x − centre) · scale."""
    optimizer: torch.optim.Adam
    centre: Tensor
    """(d) float32: the geometric median of the activations."""
    scale: float
    """√(d / E‖x − centre‖²)."""
    silent: Tensor
    """(F) int64: tokens since each feature last fired."""
    step: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)
    """Points of the training curve so far."""

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of the state by name; those of the optimizer once it has made a step."""
        named = {"centre": self.centre, "silent": self.silent}
        for name, parameter in self.sae.named_parameters():
            named[name] = parameter.data
            for moment in MOMENTS:
                if moment in self.optimizer.state[parameter]:
                    named[f"{moment}.{name}"] = self.optimizer.state[parameter][moment]
        return named

    @torch.no_grad()
    def exported(self) -> TopKSAE:
        """The SAE for raw activations: centre and scale folded in, decoder rows of unit norm."""
        raw = TopKSAE(self.sae.d_in, self.sae.d_sae, self.sae.k).to(self.centre.device)
        raw.W_enc.copy_(self.sae.W_enc)
        raw.W_dec.copy_(self.sae.W_dec)
        raw.b_enc.copy_(self.sae.b_enc / self.scale)
        raw.b_dec.copy_(self.centre + self.sae.b_dec / self.scale)
        return raw


def save_checkpoint(path: Path, state: TrainState, run: dict[str, Any]) -> None:
    """Write `state` to `path`, whole or not at all. `run` says which run it belongs to."""
    document = {"run": run, "step": state.step, "scale": state.scale, "curve": state.curve}
    tensors = {name: tensor.cpu().contiguous() for name, tensor in state.tensors().items()}
    temporary = path.with_name(path.name + ".part")
    save_file(tensors, temporary, metadata={"crosslens": json.dumps(document)})
    replace_durably(path, temporary)
    log.info("checkpoint after step %d: %s", state.step, path)


@torch.no_grad()
def load_checkpoint(path: Path, state: TrainState, run: dict[str, Any]) -> None:
    """Bring `state` (fresh, of the same run) to where the checkpoint at `path` was written."""
    try:
        with safe_open(path, framework="pt") as file:
            document = json.loads(file.metadata()["crosslens"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise InputError(
            path, found=f"no checkpoint ({error})", expected="a checkpoint", mend="delete the file"
        ) from error
    if document["run"] != run:
        raise InputError(
            path,
            found=f"a checkpoint of {document['run']}",
            expected=str(run),
            mend="delete the file to begin anew",
        )
    state.step, state.scale, state.curve = document["step"], document["scale"], document["curve"]
    for parameter in state.sae.parameters() if state.step else ():
        state.optimizer.state[parameter] = {
            "step": torch.tensor(float(state.step), device=parameter.device),
            **{moment: torch.zeros_like(parameter) for moment in MOMENTS},
        }
    for name, tensor in state.tensors().items():
        tensor.copy_(tensors[name])
