"""JumpReLU: every feature has a threshold of its own, learned through its jump (Rajamanoharan et al. 2024)."""

from statistics import NormalDist

import torch
from torch import Tensor, nn

from crosslens.sae.architectures.base import Architecture, Loss, Normalisation
from crosslens.sae.model import SAE, JumpReLUSAE

READS = ("k", "l0_weight", "bandwidth", "sparsity_warmup", "tied")

FIRST_L0 = 3.0
"""How many times k fire at first: far more and features die while the penalty thins them out, fewer and they learn late."""


class JumpReLU(Architecture):
    """z = pre where pre > θ > 0; θ = exp(log_threshold) is trained by pseudo-derivatives of width `bandwidth`.

    Where the code jumps, the derivative for pre is the opposite of that for θ, as if the jump had a slope: the encoder
    learns with the thresholds what is to fire (Anthropic January 2025). The penalty is l0_weight · (L0 / k − 1)², L0
    the mean over tokens: k is the L0 that is aimed at.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        # pre-activations of normalised activations have variance 1 at first; b_enc and θ share what they must pass
        share = min(0.25, FIRST_L0 * self.config.k / self.d_sae)
        bound = NormalDist().inv_cdf(1 - share)
        nn.init.constant_(self.b_enc, -bound / 2)
        self.log_threshold = nn.Parameter(torch.full((self.d_sae,), bound / 2).log())

    def loss(self, x: Tensor, y: Tensor, dead: Tensor, progress: float) -> Loss:
        x = self.centred(x)
        threshold, bandwidth = self.log_threshold.exp(), self.config.bandwidth
        # below the jump only those within the kernel's reach have a gradient
        places = self.above(x, threshold.detach(), bandwidth / 2)
        pre, own = self.pre_activations(x, places), threshold[places.col]
        fires = _Step.apply(pre, own, bandwidth)
        weight = self.config.warmed(self.config.l0_weight, progress)
        sparsity = weight * (fires.sum() / len(x) / self.config.k - 1).square()
        return self.summed(x, y, dead, pre * fires, places, penalty=sparsity)

    def exported(self, reads: Normalisation, writes: Normalisation) -> SAE:
        raw = self.fold(JumpReLUSAE(**self.raw_options()), reads, writes)
        raw.threshold.copy_(self.log_threshold.detach().exp() / writes.scale)
        return raw


class _Step(torch.autograd.Function):
    """H(pre − θ) with the pseudo-derivative K((pre − θ)/ε)/ε for pre, and its opposite for θ; K the box of width 1."""

    @staticmethod
    def forward(ctx, pre, threshold, bandwidth):
        ctx.save_for_backward(pre, threshold)
        ctx.bandwidth = bandwidth
        return (pre > threshold).to(pre.dtype)

    @staticmethod
    def backward(ctx, g):
        pre, threshold = ctx.saved_tensors
        slope = g * ((pre - threshold).abs() < ctx.bandwidth / 2) / ctx.bandwidth
        return slope, -slope, None
