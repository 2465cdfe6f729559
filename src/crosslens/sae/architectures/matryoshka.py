"""Matryoshka: a BatchTopK SAE whose first features must reconstruct alone (Bussmann et al. 2025)."""

import torch
from torch import Tensor

from crosslens.sae.architectures.base import Loss, energy
from crosslens.sae.architectures.batchtopk import BatchTopK
from crosslens.sae.sparse import Places, combine

READS = ("k", "matryoshka_fractions", "tied")


class Matryoshka(BatchTopK):
    """The loss is the mean FVU of the reconstructions by the first shares `matryoshka_fractions` of the features."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        ends = [max(1, round(share * self.d_sae)) for share in self.config.matryoshka_fractions]
        self.register_buffer("ends", torch.tensor(ends), persistent=False)

    def summed(self, x: Tensor, y: Tensor, dead: Tensor, values: Tensor, places: Places) -> Loss:
        """As for every SAE, descending the mean over the nested dictionaries of Σ‖y − ŷ‖² / Σ‖y − ȳ‖²."""
        written = self.nested(values, places)
        nested = energy(y.unsqueeze(1) - written) / (len(self.ends) * energy(y - y.mean(0)))
        return super().summed(x, y, dead, values, places, y_hat=written[:, -1], reconstruction=nested)

    def nested(self, values: Tensor, places: Places) -> Tensor:
        """(B, groups, d_out) the reconstructions by the nested dictionaries; the last has all features."""
        groups, rows = len(self.ends), places.rows
        # every group of features is a row of its own: one product gives what each of them writes
        group = torch.searchsorted(self.ends, places.col, right=True)
        finer = Places.of(places.row * groups + group, places.col, rows * groups, self.d_sae)
        return combine(values, self.W_dec, finer).view(rows, groups, -1).cumsum(1) + self.b_dec
