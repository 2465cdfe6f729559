"""JumpReLU: every feature has a threshold of its own, learned through its jump (Rajamanoharan et al. 2024)."""

import torch
from torch import Tensor, nn

from crosslens.sae.architectures.base import Architecture, Loss, Normalisation
from crosslens.sae.model import SAE, JumpReLUSAE

FIRST_THRESHOLD = 0.1


class JumpReLU(Architecture):
    """z = pre where pre > θ > 0; θ = exp(log_threshold) is trained by pseudo-derivatives of width `bandwidth`.

    The penalty is l0_weight · (L0 / k − 1)², L0 the mean over tokens: k is the L0 that is aimed at.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.log_threshold = nn.Parameter(torch.full((self.d_sae,), FIRST_THRESHOLD).log())

    def loss(self, x: Tensor, y: Tensor, dead: Tensor, progress: float) -> Loss:
        x = self.centred(x)
        threshold = self.log_threshold.exp()
        # below the jump only those within the kernel's reach have a gradient
        places = self.above(x, threshold.detach(), self.config.bandwidth / 2)
        pre, own = self.pre_activations(x, places), threshold[places.col]
        values = _Jump.apply(pre, own, self.config.bandwidth)
        l0 = _Step.apply(pre, own, self.config.bandwidth).sum() / len(x)
        sparsity = self.config.sparsity_weight(progress) * (l0 / self.config.k - 1).square()
        return self.summed(x, y, dead, values, places, penalty=sparsity)

    def exported(self, reads: Normalisation, writes: Normalisation) -> SAE:
        raw = self.fold(JumpReLUSAE(**self.raw_options()), reads, writes)
        raw.threshold.copy_(self.log_threshold.detach().exp() / writes.scale)
        return raw


class _Jump(torch.autograd.Function):
    """pre · H(pre − θ), its pseudo-derivative for θ being −θ/ε · K((pre − θ)/ε), K the box of width 1."""

    @staticmethod
    def forward(ctx, pre, threshold, bandwidth):
        ctx.save_for_backward(pre, threshold)
        ctx.bandwidth = bandwidth
        return pre * ((pre > threshold) & (pre > 0))

    @staticmethod
    def backward(ctx, g):
        pre, threshold = ctx.saved_tensors
        near = (pre - threshold).abs() < ctx.bandwidth / 2
        return g * (pre > threshold), -g * near * threshold / ctx.bandwidth, None


class _Step(torch.autograd.Function):
    """H(pre − θ), its pseudo-derivative for θ being −1/ε · K((pre − θ)/ε)."""

    @staticmethod
    def forward(ctx, pre, threshold, bandwidth):
        ctx.save_for_backward(pre, threshold)
        ctx.bandwidth = bandwidth
        return (pre > threshold).to(pre.dtype)

    @staticmethod
    def backward(ctx, g):
        pre, threshold = ctx.saved_tensors
        near = (pre - threshold).abs() < ctx.bandwidth / 2
        return None, -g * near / ctx.bandwidth, None
