"""A decoder that stays as it was drawn: the floor of whatever is said of features (arXiv 2602.14111)."""

import torch

from crosslens.sae.architectures.topk import TopK

READS = ("k",)


class FrozenDecoder(TopK):
    """TopK whose encoder learns to read by random directions: what it explains, it explains without having found any."""

    @torch.no_grad()
    def project_gradient(self) -> None:
        """The decoder gets no gradient, and its moments stay 0."""
        self.W_dec.grad.zero_()

    def constrain(self) -> None:
        """Its rows have unit norm from the start."""
