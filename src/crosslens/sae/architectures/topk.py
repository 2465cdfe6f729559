"""TopK: the k largest pre-activations of every token fire (Gao et al. 2024)."""

import torch
from torch import Tensor

from crosslens.sae.architectures.base import MARGIN, SPARE, Architecture, Loss, Normalisation
from crosslens.sae.model import SAE, TopKSAE
from crosslens.sae.sparse import Places

READS = ("k", "tied")

GROUP, GROUPS = 64, 8
"""Neighbouring features of which only the largest is looked at first: so many at most, and so few that there are
GROUPS · k groups, where the k-th largest of them is hardly below the k-th largest feature."""


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
        counts = places.crow.diff()
        width = int(counts.max())
        slot = torch.arange(len(values), device=x.device) + places.row * width - places.crow[places.row]
        padded = values.new_full((len(x) * width,), -torch.inf)
        padded[slot] = values
        chosen = padded.view(-1, width).topk(k, dim=-1, sorted=False).indices.sort(-1).values
        chosen = chosen + places.crow[:-1, None]
        return Places.even(places.col[chosen], self.d_sae), values[chosen.reshape(-1)]

    def _largest(self, proposals: Tensor, count: int) -> Places:
        col = proposals.topk(count, dim=-1, sorted=False).indices
        return Places.even(col.sort(-1).values, self.d_sae)

    def _groupwise(self, proposals: Tensor) -> Places | None:
        """All places of bfloat16 proposals (B, F) within MARGIN of the k-th largest, and a few more.

        The k-th largest of the maxima of groups of features bounds the k-th largest feature from below, and only in
        groups that reach this bound is there anything to find. None where this says nothing: a bound that is not
        positive, too few groups. Positive bfloat16 numbers are in the order of their bits, which compare faster.
        """
        k, size = self.config.k, GROUP
        while size > 1 and (self.d_sae % size or self.d_sae // size < GROUPS * k):
            size //= 2
        groups = self.d_sae // size
        if size == 1:
            return None
        bits = proposals.view(torch.int16)
        largest = bits.view(len(bits), groups, size).amax(-1)
        bound = largest.topk(k, dim=-1, sorted=False).values.amin(1)
        bound = (bound.view(torch.bfloat16) - MARGIN).view(torch.int16)
        if not (bound > 0).all():
            return None
        group = (largest >= bound[:, None]).view(-1).nonzero().squeeze(1)
        token = group.div(groups, rounding_mode="floor")
        hit, place = (bits.view(-1, size).index_select(0, group) >= bound[token, None]).nonzero(as_tuple=True)
        col = group[hit] * size + place - token[hit] * self.d_sae
        return Places.of(token[hit], col, len(bits), self.d_sae)

    def exported(self, reads: Normalisation, writes: Normalisation) -> SAE:
        return self.fold(TopKSAE(k=self.config.k, **self.raw_options()), reads, writes)
