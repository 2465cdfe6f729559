"""What a TopK SAE minimises: the fraction of variance unexplained, and AuxK against dead features."""

from typing import NamedTuple

import torch
from torch import Tensor

from crosslens.sae.model import TopKSAE


class Loss(NamedTuple):
    """One batch's loss and what it is made of."""

    total: Tensor
    """() to descend: fvu + alpha · aux."""
    fvu: Tensor
    """() Σ‖x − x̂‖² / Σ‖x − x̄‖², x̄ the mean of the batch."""
    aux: Tensor
    """() Σ‖e − ê‖² / Σ‖e‖²; 0 where no feature is dead."""
    values: Tensor
    """(B, k) the code."""
    indices: Tensor
    """(B, k) its features."""


def topk_loss(sae: TopKSAE, x: Tensor, dead: Tensor, *, aux_k: int, alpha: float) -> Loss:
    """Loss of Gao et al. 2024 on x (B, d) float32, with `dead` (F) bool the features that count as dead.

    AuxK: the `aux_k` strongest dead features of each token reconstruct the residual e = x − x̂, which is detached,
    through W_dec without b_dec. Its gradient reaches W_dec and the encoder.
    """
    # b_dec folded into the bias: x needs no gradient, which saves a (B, F) by (F, d) product
    pre = torch.addmm(sae.b_enc - sae.b_dec @ sae.W_enc, x, sae.W_enc)
    values, indices = pre.topk(sae.k, dim=-1)
    values = values.relu()
    error = x - sae.decode(values, indices)
    fvu = error.square().sum() / (x - x.mean(0)).square().sum()
    aux = _aux_loss(sae, pre, error.detach(), dead, aux_k)
    return Loss(fvu + alpha * aux, fvu, aux, values, indices)


def _aux_loss(sae: TopKSAE, pre: Tensor, error: Tensor, dead: Tensor, aux_k: int) -> Tensor:
    features = dead.nonzero().squeeze(1)
    if not (len(features) and aux_k):
        return error.new_zeros(())
    z = pre.index_select(1, features)
    if len(features) > aux_k:
        values, indices = z.topk(aux_k, dim=-1, sorted=False)
        z = torch.zeros_like(z).scatter(-1, indices, values)
    missed = (error - z.relu() @ sae.W_dec.index_select(0, features)).square().sum()
    total = error.square().sum()
    # an exact reconstruction leaves nothing to model: 0, and 0 as the gradient, where a quotient would give NaN
    return missed / total.where(total > 0, torch.inf)
