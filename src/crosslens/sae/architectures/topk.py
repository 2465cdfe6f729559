"""TopK: the k largest pre-activations of every token fire (Gao et al. 2024)."""

import torch
from torch import Tensor

from crosslens.sae.architectures.base import MARGIN, SPARE, Architecture, Loss, Normalisation
from crosslens.sae.model import SAE, TopKSAE
from crosslens.sae.sparse import Places, kth_largest, true_places

READS = ("k", "tied")

GROUP, GROUPS = 64, 8
"""Features of which only the largest is looked at first: so many at most, and so few that there are GROUPS · k groups,
where the k-th largest of them is hardly below the k-th largest feature."""


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
        k, proposals = self.config.k, self.proposals(x)
        if not self.fast:
            places = self._largest(proposals, k)
            return places, self.exact(x, places, proposals)
        places = self._groupwise(proposals) or self._largest(proposals, min(k + SPARE, self.d_sae))
        values = self.exact(x, places, proposals)
        # a row a token, filled up at its end
        width = int(places.crow.diff().max())
        slot = torch.arange(len(values), device=x.device) + places.row * width - places.crow[places.row]
        padded = values.new_full((len(x) * width,), -torch.inf)
        padded[slot] = values
        padded = padded.view(-1, width)
        chosen = true_places(values >= kth_largest(padded, k)[places.row])
        if len(chosen) != len(x) * k:  # equals at the bound, or no number at all
            within = padded.topk(k, dim=-1, sorted=False).indices.sort(-1).values
            chosen = (within + places.crow[:-1, None]).view(-1)
        return Places.even(places.col[chosen].view(-1, k), self.d_sae), values[chosen]

    def _largest(self, proposals: Tensor, count: int) -> Places:
        col = proposals.topk(count, dim=-1, sorted=False).indices
        return Places.even(col.sort(-1).values, self.d_sae)

    def _groupwise(self, proposals: Tensor) -> Places | None:
        """All places of bfloat16 proposals (B, F) within MARGIN of the k-th largest, and a few more.

        The k-th largest of the maxima of groups of features bounds the k-th largest feature from below. None where this
        says nothing: a bound that is not positive, too few groups. Positive bfloat16 numbers are in the order of their
        bits, which compare faster.
        """
        k, size = self.config.k, GROUP
        while size > 1 and (self.d_sae % size or self.d_sae // size < GROUPS * k):
            size //= 2
        if size == 1:
            return None
        bits = proposals.view(torch.int16)
        # every so many-th feature makes a group: maxima of whole rows, which are quicker than of neighbours
        largest = bits.view(len(bits), size, -1).amax(1)
        bound = (kth_largest(largest, k).view(torch.bfloat16) - MARGIN).view(torch.int16)
        if not (bound > 0).all():
            return None
        return Places.reaching(bits, bound)

    def exported(self, reads: Normalisation, writes: Normalisation) -> SAE:
        return self.fold(TopKSAE(k=self.config.k, **self.raw_options()), reads, writes)
