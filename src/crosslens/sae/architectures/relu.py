"""ReLU with an L1 penalty on the sum of what the features write (Bricken et al. 2023, Anthropic April 2024)."""

from torch import Tensor

from crosslens.sae.architectures.base import Architecture, Loss, Normalisation
from crosslens.sae.model import SAE, ReLUSAE


class ReLU(Architecture):
    """z = ReLU(pre); the penalty is l1 · Σ_f z_f ‖W_dec_f‖ / √d, a mean over tokens.

    Normalised activations have norm √d and decoder rows norm 1, so `l1` means the same at every width.
    """

    def loss(self, x: Tensor, y: Tensor, dead: Tensor, progress: float) -> Loss:
        x = self.centred(x)
        places = self.above(x, 0.0)
        values = self.pre_activations(x, places).relu()
        sparsity = self.config.sparsity_weight(progress) * values.sum() / (len(x) * self.d_out**0.5)
        return self.summed(x, y, dead, values, places, penalty=sparsity)

    def exported(self, reads: Normalisation, writes: Normalisation) -> SAE:
        return self.fold(ReLUSAE(**self.raw_options()), reads, writes)
