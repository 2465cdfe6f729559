"""What a model would say if its last block came earlier: the residual stream of any block through the model's own head.

The logit lens (nostalgebraist 2020) reads it as it is, the tuned lens (Belrose et al. 2023) through an affine map of each
block's, fitted so that the model's last answer is told best. At the last block both are the model itself.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from crosslens.errors import InputError
from crosslens.models.head import Head
from crosslens.models.load import LoadedModel

LENSES = ("logit", "tuned")
"""Those that give probabilities of every token."""
TUNED_FILE, ROWS_FILE = "tuned.safetensors", "jacobian.safetensors"


def sites_of(loaded: LoadedModel) -> list[str]:
    """The residual stream behind every block."""
    return [str(layer) for layer in range(loaded.n_layers)]


class Translators(NamedTuple):
    """The affine maps of the tuned lens, float32; the last block has none."""

    weight: Tensor
    """(L - 1, d, d)."""
    bias: Tensor
    """(L - 1, d)."""

    def __call__(self, layer: int, residual: Tensor) -> Tensor:
        """(…, d) as the last block would have left it, of the residual stream behind block `layer`."""
        if layer == len(self.weight):
            return residual
        return residual @ self.weight[layer].T + self.bias[layer]

    def to(self, device: torch.device) -> "Translators":
        """On that device."""
        return Translators(self.weight.to(device), self.bias.to(device))

    def save(self, path: Path) -> None:
        """Write them."""
        save_file({name: of.cpu().contiguous() for name, of in self._asdict().items()}, path)

    @classmethod
    def load(cls, folder: Path, loaded: LoadedModel) -> "Translators":
        """Those of a folder of kind lenses; InputError where they are of a model of other sizes."""
        found = cls(**load_file(Path(folder) / TUNED_FILE))
        expected = (loaded.n_layers - 1, loaded.d_model, loaded.d_model)
        if tuple(found.weight.shape) != expected:
            raise InputError(
                Path(folder) / TUNED_FILE,
                found=f"maps of shape {tuple(found.weight.shape)}",
                expected=f"{expected}: blocks but the last, twice the width of {loaded.id}",
                mend="rebuild the lenses with snakemake",
            )
        return found.to(loaded.device)


class Reader:
    """The lenses of one model; all of it in float32."""

    def __init__(self, head: Head, translators: Translators):
        self.head, self.translators = head, translators

    def logits(self, lens: str, layer: int, residual: Tensor) -> Tensor:
        """(…, vocabulary) float32 of the residual stream (…, d) behind block `layer`, softcap included."""
        residual = residual.float()
        return self.head(self.translators(layer, residual) if lens == "tuned" else residual)


def load_rows(folder: Path) -> Tensor:
    """(L, d) float32 rows of the Jacobian lens of a folder of kind lens_reading: directions towards the female word."""
    return load_file(Path(folder) / ROWS_FILE)["rows"]
