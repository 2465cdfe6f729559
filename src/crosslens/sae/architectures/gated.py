"""Gated: whether a feature fires and how strongly are told apart (Rajamanoharan et al. 2024, Improving …)."""

import torch
from torch import Tensor, nn

from crosslens.sae.architectures.base import Loss, Normalisation, energy
from crosslens.sae.architectures.relu import FIRST_BIAS, ReLU
from crosslens.sae.model import SAE, JumpReLUSAE
from crosslens.sae.sparse import combine

READS = ("l1", "sparsity_warmup")


class Gated(ReLU):
    """z = ReLU(exp(r_mag) u + b_mag) where u + b_gate > 0, u = (x − b_dec) W_enc; b_enc serves as b_gate.

    The L1 penalty, that of ReLU, lies on ReLU(u + b_gate) alone. What trains the gate besides is the auxiliary loss:
    the FVU of the reconstruction by ReLU(u + b_gate) through a detached decoder.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.r_mag = nn.Parameter(torch.zeros(self.d_sae))
        # magnitudes begin as what the gate is: without its bias they overshoot, and features die
        self.b_mag = nn.Parameter(torch.full((self.d_sae,), FIRST_BIAS))

    def loss(self, x: Tensor, y: Tensor, dead: Tensor, progress: float) -> Loss:
        x = self.centred(x)
        places = self.above(x, 0.0)
        col = places.col
        u = self.read(x, places)
        gate = (u + self.b_enc[col]).relu()
        values = (self.r_mag.exp()[col] * u + self.b_mag[col]).relu() * (gate > 0)
        spread = energy(y - y.mean(0))
        alone = combine(gate, self.W_dec.detach(), places) + self.b_dec.detach()
        gated = energy(y - alone) / spread
        sparsity = self.l1_penalty(gate, len(x), progress)
        return self.summed(x, y, dead, values, places, penalty=sparsity + gated)

    @torch.no_grad()
    def exported(self, reads: Normalisation, writes: Normalisation) -> SAE:
        """A jumprelu SAE with the same codes: exp(r_mag) > 0, so the gate is a threshold on the magnitude."""
        magnitude = self.r_mag.exp()
        raw = self.fold(JumpReLUSAE(**self.raw_options()), reads, writes)
        shift = raw.b_enc - self.b_enc / writes.scale  # what folding a transcoder's centre adds
        raw.b_enc.copy_(self.b_mag / writes.scale + magnitude * shift)
        raw.W_enc.mul_(magnitude)
        raw.threshold.copy_((self.b_mag - magnitude * self.b_enc).clamp_min(0) / writes.scale)
        return raw
