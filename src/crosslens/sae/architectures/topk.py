"""TopK: the k largest pre-activations of every token fire (Gao et al. 2024)."""

import torch
from torch import Tensor

from crosslens.sae.architectures.base import SPARE, Architecture, Loss, Normalisation
from crosslens.sae.model import SAE, TopKSAE
from crosslens.sae.sparse import Places


class TopK(Architecture):
    """z = TopK(ReLU(pre))."""

    def loss(self, x: Tensor, y: Tensor, dead: Tensor, progress: float) -> Loss:
        x = self.centred(x)
        places, known = self.strongest(x)
        values = self.pre_activations(x, places, known).relu()
        return self.summed(x, y, dead, values, places)

    @torch.no_grad()
    def strongest(self, x: Tensor) -> tuple[Places, Tensor]:
        """The k largest pre-activations of each token of centred x: places and float32 values (B·k)."""
        k, spare = self.config.k, SPARE if self.fast else 0
        proposals = self.proposals(x)
        col = proposals.topk(min(k + spare, self.d_sae), dim=-1, sorted=False).indices.sort(-1).values
        values = self.exact(x, Places.even(col, self.d_sae), proposals).view_as(col)
        if col.shape[1] > k:
            chosen = values.topk(k, dim=-1, sorted=False).indices.sort(-1).values
            col, values = col.gather(1, chosen), values.gather(1, chosen)
        return Places.even(col, self.d_sae), values.reshape(-1)

    def exported(self, reads: Normalisation, writes: Normalisation) -> SAE:
        return self.fold(TopKSAE(k=self.config.k, **self.raw_options()), reads, writes)
