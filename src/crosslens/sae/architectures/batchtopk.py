"""BatchTopK: the k · B largest pre-activations of a batch fire, however the tokens share them (Bussmann et al. 2024)."""

import torch
from torch import Tensor, nn

from crosslens.sae.architectures.base import MARGIN, SPARE, Architecture, Loss, Normalisation
from crosslens.sae.model import SAE, JumpReLUSAE
from crosslens.sae.sparse import Places

READS = ("k", "tied")

MEMORY = 0.99
"""Weight of the past in the running threshold: it follows about the last hundred batches."""
NEARLY, CROWD = 0.8, 4
"""Candidates are what lies above this share of the threshold, unless they are so many times those wanted."""
FIRST_BIAS = -1.0
"""b_enc at first: what fires among the largest then starts small, as under a penalty, and fewer features are learned as
two that share their tokens."""


class BatchTopK(Architecture):
    """z = ReLU(pre) where it is among the batch's k · B largest.

    Outside training there is no batch: a token's features fire above a threshold, the running mean of the smallest
    value that fired. Its average is divided by the weight it has gathered, so that it is not drawn towards the 0 it
    began with. It is exported as jumprelu.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        nn.init.constant_(self.b_enc, FIRST_BIAS)
        self.register_buffer("threshold_sum", torch.zeros(()))
        self.register_buffer("threshold_weight", torch.zeros(()))

    def loss(self, x: Tensor, y: Tensor, dead: Tensor, progress: float) -> Loss:
        x = self.centred(x)
        places, known = self.strongest(x)
        self.remember(known)
        values = self.pre_activations(x, places, known).relu()
        return self.summed(x, y, dead, values, places)

    @torch.no_grad()
    def strongest(self, x: Tensor) -> tuple[Places, Tensor]:
        """The k · B largest positive pre-activations of centred x (B, d): places and float32 values (nnz)."""
        proposals, wanted = self.proposals(x), self.config.k * len(x)
        places = self.above_last(proposals, wanted) or self.searched(proposals, wanted)
        exact = self.exact(x, places, proposals)
        # there are ties and spares: the exact values decide, the first of equals wins
        chosen = exact.topk(min(wanted, len(exact))).indices.sort().values
        chosen = chosen[exact[chosen] > 0]
        return Places.of(places.row[chosen], places.col[chosen], len(x), self.d_sae), exact[chosen]

    def above_last(self, proposals: Tensor, wanted: int) -> Places | None:
        """Places that hold the `wanted` largest of the proposals (B, F): those above a little less than the threshold.

        None where these are too few or too many. To look a batch through once is quicker than to rank its rows.
        """
        cut, margin = NEARLY * self.threshold(), MARGIN if self.fast else 0.0
        mask = proposals > cut
        # bfloat16 proposals may be off by `margin`, those in the mask and those out of it
        sure = (proposals > cut + 2 * margin).sum() if self.fast else mask.sum()
        if not wanted <= sure or mask.sum() > CROWD * wanted:
            return None
        return Places.where(mask)

    def searched(self, proposals: Tensor, wanted: int) -> Places:
        """Places that hold the `wanted` largest of the proposals (B, F), by ranks within rows."""
        k, rows = self.config.k, len(proposals)
        width = min(4 * k + SPARE, self.d_sae)
        while True:
            values, col = proposals.topk(width, dim=-1)
            count = min(wanted + SPARE * rows if self.fast else wanted, values.numel())
            bound = values.reshape(-1).topk(count, sorted=False).values.min()
            # a token that fills all its candidates may have more to offer
            if width == self.d_sae or (values[:, -1] < bound).all():
                break
            width = min(2 * width, self.d_sae)
        col, order = col.sort(-1)
        offered = values.gather(1, order) >= bound
        row, place = offered.nonzero(as_tuple=True)
        return Places.of(row, col[row, place], rows, self.d_sae)

    @torch.no_grad()
    def remember(self, values: Tensor) -> None:
        """Let the threshold follow the smallest of the values that fired."""
        if len(values):
            self.threshold_sum.mul_(MEMORY).add_(values.min(), alpha=1 - MEMORY)
            self.threshold_weight.mul_(MEMORY).add_(1 - MEMORY)

    def threshold(self) -> Tensor:
        """() the running mean of the smallest value that fired."""
        return self.threshold_sum / self.threshold_weight.clamp_min(1e-12)

    def exported(self, reads: Normalisation, writes: Normalisation) -> SAE:
        raw = self.fold(JumpReLUSAE(**self.raw_options()), reads, writes)
        raw.threshold.fill_(self.threshold().item() / writes.scale)
        return raw
