"""ReLU with an L1 penalty on the sum of what the features write (Bricken et al. 2023, Anthropic April 2024)."""

from torch import Tensor, nn

from crosslens.sae.architectures.base import Architecture, Loss, Normalisation
from crosslens.sae.model import SAE, ReLUSAE

READS = ("l1", "sparsity_warmup", "tied")

FIRST_BIAS = -1.5
"""b_enc at first. Pre-activations of normalised activations then have variance 1, so that 7 % of the features fire.
With 0 half of them do, which is slow, and L1 is slow to thin them out; with -2 many fall silent on heavy-tailed data."""


class ReLU(Architecture):
    """z = ReLU(pre); the penalty is l1 · Σ_f z_f ‖W_dec_f‖ / √d, a mean over tokens.

    Normalised activations have norm √d and decoder rows norm 1, so `l1` means the same at every width. Of m features of
    one strength each has √(d / m), and is made smaller by l1 √m / 2 of it: with m = 1 / (2 l1²) by a third.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        nn.init.constant_(self.b_enc, FIRST_BIAS)

    def loss(self, x: Tensor, y: Tensor, dead: Tensor, progress: float) -> Loss:
        x = self.centred(x)
        places = self.above(x, 0.0)
        values = self.pre_activations(x, places).relu()
        return self.summed(x, y, dead, values, places, penalty=self.l1_penalty(values, len(x), progress))

    def l1_penalty(self, values: Tensor, tokens: int, progress: float) -> Tensor:
        """() the penalty on the values (nnz) of so many tokens."""
        return self.config.warmed(self.config.l1, progress) * values.sum() / (tokens * self.d_out**0.5)

    def exported(self, reads: Normalisation, writes: Normalisation) -> SAE:
        return self.fold(ReLUSAE(**self.raw_options()), reads, writes)
