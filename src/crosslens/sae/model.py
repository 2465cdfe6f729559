"""The TopK sparse autoencoder, and what every architecture offers to the stages that use one."""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SAE(Protocol):
    """What encoding, quality and interventions need to know of a sparse autoencoder."""

    d_in: int
    d_sae: int

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]: ...

    def encode_dense(self, x: Tensor) -> Tensor: ...

    def decode(self, values: Tensor, indices: Tensor) -> Tensor: ...

    def decode_dense(self, z: Tensor) -> Tensor: ...


class TopKSAE(nn.Module):
    """z = TopK(ReLU((x − b_dec) W_enc + b_enc)), x̂ = z W_dec + b_dec (Gao et al. 2024), float32.

    A saved SAE takes raw activations and its decoder rows have unit norm, so z has the activations' units.
    """

    architecture = "topk"

    def __init__(self, d_in: int, d_sae: int, k: int):
        super().__init__()
        self.d_in, self.d_sae, self.k = d_in, d_sae, k
        self.W_enc = nn.Parameter(torch.zeros(d_in, d_sae))
        self.W_dec = nn.Parameter(torch.zeros(d_sae, d_in))
        self.b_enc = nn.Parameter(torch.zeros(d_sae))
        self.b_dec = nn.Parameter(torch.zeros(d_in))

    def pre_activations(self, x: Tensor) -> Tensor:
        """x (B, d) float32 to (B, F), before ReLU and TopK."""
        return torch.addmm(self.b_enc, x - self.b_dec, self.W_enc)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, d) float32 to values (B, k) ≥ 0, descending, and their feature indices (B, k) int64.

        A value is 0 where fewer than k features are positive; such an entry is not active.
        """
        values, indices = self.pre_activations(x).topk(self.k, dim=-1)
        return values.relu(), indices

    def encode_dense(self, x: Tensor) -> Tensor:
        """x (B, d) float32 to z (B, F) with at most k entries > 0 in a row."""
        values, indices = self.encode(x)
        return values.new_zeros(len(x), self.d_sae).scatter(-1, indices, values)

    def decode(self, values: Tensor, indices: Tensor) -> Tensor:
        """values (B, m) and indices (B, m) of active features to x̂ (B, d)."""
        return F.embedding_bag(indices, self.W_dec, per_sample_weights=values, mode="sum") + self.b_dec

    def decode_dense(self, z: Tensor) -> Tensor:
        """z (B, F) to x̂ (B, d)."""
        return z @ self.W_dec + self.b_dec

    def forward(self, x: Tensor) -> Tensor:
        """x (B, d) to its reconstruction x̂ (B, d)."""
        return self.decode(*self.encode(x))
