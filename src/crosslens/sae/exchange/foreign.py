"""What every reader takes and gives."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from crosslens.errors import InputError
from crosslens.sae.io import check_choice, check_size, check_tensors
from crosslens.sae.model import SAE

FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


class ForeignSAE(NamedTuple):
    """An SAE of whatever tool, in the canonical form, and what its files say about it."""

    sae: SAE
    format: str
    """crosslens, saelens, saelens before 6, sparsify, dictionary_learning, gemma_scope or gemma_scope_2."""
    trained_as: str
    """Architecture in its own tool's words: a gated or BatchTopK SAE is a jumprelu here."""
    site: str | None
    """What it reads, in our notation ("14", "14.mlp_out"); None where the files do not say, or it is no such site."""
    hook: str | None
    """What it reads, in the files' own words; None where they say nothing."""
    model: str | None = None
    """The model's name in the files' own words."""
    transcoder: bool = False
    """Whether it writes to another site than it reads."""
    target: str | None = None
    """What a transcoder writes to, in our notation."""
    notes: tuple[str, ...] = ()
    """What was assumed or folded in on reading."""
    may_be: tuple[str, ...] | None = None
    """Where `hook` is no site for sure, those that it may be: none of them if it is elsewhere; None if it is not
    understood."""
    revision: str | None = None
    """Of the model: a commit, or a branch such as step1000 of Pythia; None where the files say none."""

    def contradicts(self, site: str) -> bool:
        """Whether the files say that it reads something else than `site`."""
        return site not in (
            self.may_be if self.site is None and self.may_be is not None else (self.site or site,)
        )


@dataclass(frozen=True)
class Found:
    """The files of one SAE, opened and not yet understood."""

    weights: Path
    tensors: dict[str, Tensor]
    config_path: Path | None = None
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def said_in(self) -> Path:
        """The file that an error about the configuration names."""
        return self.config_path or self.weights

    def refused(self, found: object, expected: object, mend: str) -> InputError:
        """The error of a configuration that cannot be read."""
        return InputError(self.said_in, found=found, expected=expected, mend=mend)

    def choice(self, key: str, allowed: tuple, config: dict[str, Any] | None = None) -> Any:
        """config[key], or InputError unless it is one of `allowed`; None is allowed to be absent."""
        mend = "use an SAE of a kind that can be read, or correct the file"
        return check_choice(self.said_in, self.config if config is None else config, key, allowed, mend)

    def size(self, key: str, config: dict[str, Any] | None = None) -> int:
        """config[key], or InputError unless it is a positive integer."""
        return check_size(self.said_in, self.config if config is None else config, key)

    def floats(self, shapes: dict[str, tuple[int, ...]], ignore: tuple[str, ...] = ()) -> dict[str, Tensor]:
        """The tensors in float32; InputError unless they are those of `shapes` (and any of `ignore`), and finite."""
        tensors = {name: tensor for name, tensor in self.tensors.items() if name not in ignore}
        check_tensors(self.weights, tensors, shapes, FLOATS)
        return {name: tensor.float() for name, tensor in tensors.items()}

    def shape(self, name: str, dimensions: int = 2) -> tuple[int, ...]:
        """Of a tensor that must be there with so many dimensions, for files that state no sizes."""
        tensor = self.tensors.get(name)
        if tensor is None or tensor.ndim != dimensions:
            raise InputError(
                self.weights,
                found=f"no {name}" if tensor is None else f"{name} of shape {tuple(tensor.shape)}",
                expected=f"{name} of {dimensions} dimensions",
                mend="fetch the SAE again; only SAEs and transcoders of one layer are read",
            )
        return tuple(tensor.shape)
