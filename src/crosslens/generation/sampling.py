"""How the next token is drawn: from random numbers that belong to the text, not to the batch it is in."""

import hashlib

import numpy as np
import torch
from torch import Tensor

from crosslens.errors import InputError


def check_sampling(
    name: str, draws: int, *, temperature: float, max_new_tokens: int, batch: int, top_p: float = 1.0
) -> None:
    """InputError for settings that draw nothing. `name` is what the study calls the number of draws."""
    for key, value in ((name, draws), ("max_new_tokens", max_new_tokens), ("batch", batch)):
        if value < 1:
            raise InputError(key, found=value, expected="at least 1", mend=f"set {key} in the study")
    if temperature < 0 or (temperature == 0 and draws > 1):
        raise InputError(
            "temperature",
            found=f"{temperature} with {name} {draws}",
            expected="more than 0, or 0 (greedy) with one draw",
            mend=f"raise the temperature or set {name} to 1",
        )
    if not 0 < top_p <= 1:
        raise InputError("top_p", found=top_p, expected="more than 0, at most 1", mend="correct top_p")


def draw_uniforms(seed: int, language: str, name: str, draw: int, count: int) -> np.ndarray:
    """(count) float64 in [0, 1): the random numbers of draw `draw` of the text called `name`, one per token."""
    key = hashlib.sha256("\0".join([str(seed), language, name, str(draw)]).encode()).digest()[:16]
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little"))).random(count)


def pick_tokens(logits: Tensor, uniform: Tensor, temperature: float, top_p: float = 1.0) -> Tensor:
    """(B) ids drawn from softmax(logits (B, V) / temperature) by inversion at uniform (B); greedy at 0.

    With top_p < 1 only among the fewest tokens that hold that share of the probability (nucleus sampling, Holtzman
    et al. 2020).
    """
    if temperature == 0:
        return logits.argmax(dim=-1)
    exact = torch.float32 if logits.device.type == "mps" else torch.float64
    share = (logits.to(exact) / temperature).softmax(dim=-1)
    if top_p < 1:
        share = share.where(_nucleus(share, top_p), 0)
    cumulative = share.cumsum(dim=-1)
    # cast before the move: mps has no float64
    level = uniform.to(exact).to(logits.device)[:, None] * cumulative[:, -1:]
    return (cumulative <= level).sum(dim=-1).clamp(max=logits.shape[-1] - 1)


def _nucleus(share: Tensor, top_p: float) -> Tensor:
    """(B, V) bool: the fewest tokens whose probabilities `share` add up to top_p."""
    # All tokens below the mean of what is left out are left out together: most need no sorting.
    candidates = int((share > (1 - top_p) / share.shape[-1]).sum(dim=-1).max())
    largest, ids = share.topk(candidates)
    inside = largest.cumsum(dim=-1) - largest < top_p
    return torch.zeros_like(share, dtype=torch.bool).scatter(-1, ids, inside)
