"""Logits in float32 of a model that computes in less: differences of log-probabilities are smaller than its rounding."""

import copy

import torch
from torch import Tensor, nn

from crosslens.models.load import LoadedModel


class Head:
    """What stands between the last block and the logits, in float32: a copy where the model has less."""

    def __init__(self, loaded: LoadedModel):
        self.adapter = loaded.adapter
        self.norm, self.unembed = _exact(self.adapter.final_norm), _exact(self.adapter.unembed)

    def __call__(self, residual: Tensor) -> Tensor:
        """(…, vocabulary) float32 logits of `resid_post` (…, d_model) of the last block; see Adapter.logits."""
        return self.adapter.logits(residual.float(), norm=self.norm, unembed=self.unembed)

    def uncapped(self, residual: Tensor) -> Tensor:
        """The same without the softcap, where the family has one: linear in what the norm gives."""
        return self.unembed(self.norm(residual.float())) * self.adapter.logit_scale


def _exact(part: nn.Module) -> nn.Module:
    if all(parameter.dtype == torch.float32 for parameter in part.parameters()):
        return part
    return copy.deepcopy(part).float()
