"""Attention heads as matrices: what each reads, compares and writes, out of a block's weights."""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Heads(NamedTuple):
    """The heads of one block, float32; K key-value heads serve H query heads, H / K each, in order.

    They act on the normed residual stream without the norm's gain, which is in them, as is that of norms behind the
    projections. Left out are biases, rotary positions (queries and keys of equal positions), factors by which norms divide a
    token, and the scale of the scores: what no constant matrix says.
    """

    q: Tensor
    """(H, d_model, d_head)."""
    k: Tensor
    """(K, d_model, d_head)."""
    v: Tensor
    """(K, d_model, d_head)."""
    o: Tensor
    """(H, d_head, d_model)."""

    def kv(self, head: int) -> int:
        """The key-value head of a query head."""
        return head // (len(self.q) // len(self.k))


def heads_of(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    o: Tensor,
    *,
    d_head: int,
    gain: Tensor | float = 1.0,
    q_gain: Tensor | float = 1.0,
    k_gain: Tensor | float = 1.0,
    out_gain: Tensor | float = 1.0,
    centred: bool = False,
) -> Heads:
    """Heads of weights as a linear layer has them: q, k, v (heads · d_head, d_model) and o (d_model, heads · d_head).

    gain, out_gain: (d_model), of the norms before and behind attention; q_gain, k_gain: (d_head), of queries and keys. centred:
    the norm before subtracts a token's mean.
    """

    def reading(weight: Tensor, own: Tensor | float = 1.0) -> Tensor:
        weight = weight.detach().float()
        found = weight.view(-1, d_head, weight.shape[1]).transpose(1, 2) * _column(gain)
        return (found - found.mean(dim=1, keepdim=True) if centred else found) * own

    o = o.detach().float()
    return Heads(
        q=reading(q, _plain(q_gain)),
        k=reading(k, _plain(k_gain)),
        v=reading(v),
        o=o.T.reshape(-1, d_head, o.shape[0]) * _plain(out_gain),
    )


def projected(attention: nn.Module, **gains: Tensor) -> Heads:
    """Heads of a module with q_proj, k_proj, v_proj, o_proj and head_dim; gains as in `heads_of`."""
    weights = (getattr(attention, f"{name}_proj").weight for name in "qkvo")
    return heads_of(*weights, d_head=attention.head_dim, **gains)


def _plain(gain: Tensor | float) -> Tensor | float:
    return gain.detach().float() if isinstance(gain, torch.Tensor) else gain


def _column(gain: Tensor | float) -> Tensor | float:
    return _plain(gain)[:, None] if isinstance(gain, torch.Tensor) else gain
