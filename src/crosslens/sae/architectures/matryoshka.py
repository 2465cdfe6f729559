"""Matryoshka: a BatchTopK SAE whose first features must reconstruct alone (Bussmann et al. 2025)."""

import torch
from torch import Tensor

from crosslens.sae.architectures.base import Loss, energy
from crosslens.sae.architectures.batchtopk import BatchTopK
from crosslens.sae.sparse import Places, combine


class Matryoshka(BatchTopK):
    """The loss is the mean FVU of the reconstructions by the first shares `matryoshka_fractions` of the features."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        ends = [max(1, round(share * self.d_sae)) for share in self.config.matryoshka_fractions]
        self.register_buffer("ends", torch.tensor(ends), persistent=False)

    def loss(self, x: Tensor, y: Tensor, dead: Tensor, progress: float) -> Loss:
        x = self.centred(x)
        places, known = self.strongest(x)
        self.remember(known)
        values = self.pre_activations(x, places, known).relu()
        return self.summed(x, y, dead, values, places, reconstruction=self.nested(y, values, places))

    def nested(self, y: Tensor, values: Tensor, places: Places) -> Tensor:
        """() the mean over the nested dictionaries of Σ‖y − ŷ‖² / Σ‖y − ȳ‖²."""
        groups, rows = len(self.ends), len(y)
        # every group of features is a row of its own: one product gives what each of them writes
        group = torch.searchsorted(self.ends, places.col, right=True)
        counts = torch.bincount(places.row * groups + group, minlength=rows * groups)
        finer = Places(torch.nn.functional.pad(counts.cumsum(0), (1, 0)), places.col, self.d_sae)
        written = combine(values, self.W_dec, finer).view(rows, groups, -1).cumsum(1) + self.b_dec
        return energy(y.unsqueeze(1) - written) / (groups * energy(y - y.mean(0)))
