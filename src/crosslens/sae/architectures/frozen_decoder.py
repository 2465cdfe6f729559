"""A decoder that stays as it was drawn: the floor of whatever is said of features (arXiv 2602.14111)."""

from torch import Tensor

from crosslens.sae.architectures.topk import TopK

READS = ("k",)


class FrozenDecoder(TopK):
    """TopK whose encoder learns to read by random directions: what it explains, it explains without having found any."""

    def project(self, rows: Tensor, gradient: Tensor) -> None:
        """The decoder gets no gradient, and its moments stay 0."""
        gradient.zero_()

    def constrain(self, rows: Tensor) -> None:
        """Its rows have unit norm from the start."""
