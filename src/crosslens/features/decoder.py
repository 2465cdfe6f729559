"""Do features point the same way? The largest cosine of a decoder row with any other."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

COMPARED = 4096
"""Features whose nearest other feature is looked for; of more, a seeded sample."""
BLOCK = 4096
"""Rows read at a time: with d = 2,560, sample, block and their products take 260 MB, whatever F is."""
ALIKE = 0.9
"""Above this cosine two features are counted as the same direction."""
EDGES = np.linspace(-1.0, 1.0, 101).round(2)


def decoder_cosine(W_dec: Tensor, *, seed: int) -> dict[str, Any]:
    """How near to another each row of W_dec (F, d) float32 is, beside as many random directions of the same width.

    Of at most COMPARED features (drawn by `seed`; all where there are fewer) the largest cosine with any other of all
    F: a histogram over EDGES, the median and the share above ALIKE; None with a single feature. A row of zeros has
    cosine 0 with all.
    """
    F, d = W_dec.shape
    rng = np.random.default_rng(seed)
    chosen = np.arange(F) if F <= COMPARED else np.sort(rng.choice(F, COMPARED, replace=False))
    rows = torch.from_numpy(chosen).to(W_dec.device)
    trained = largest_cosines(W_dec[rows], rows, lambda start, stop: W_dec[start:stop], F)
    first = _random_rows(seed, 0, min(BLOCK, F), d).to(W_dec.device)[: len(chosen)]
    random = largest_cosines(
        first,
        torch.arange(len(first), device=W_dec.device),
        lambda start, stop: _random_rows(seed, start, stop, d).to(W_dec.device),
        F,
    )
    return {
        "compared": len(chosen),
        "seed": seed,
        "alike_above": ALIKE,
        "edges": EDGES.tolist(),
        "decoder": _told(trained),
        "random": _told(random),
    }


def largest_cosines(x: Tensor, own: Tensor, read: Callable[[int, int], Tensor], F: int) -> np.ndarray:
    """(n) float32: the largest cosine of each row of x (n, d) with the rows of a dictionary (F, d) but its own.

    own: (n) int64, where in the dictionary the rows of x stand. read: rows start to stop of the dictionary. Empty
    where the dictionary has one row.
    """
    if F < 2:
        return np.zeros(0, dtype=np.float32)
    x, best = _unit(x), torch.full((len(x),), -1.0, device=x.device)
    for start in range(0, F, BLOCK):
        stop = min(start + BLOCK, F)
        cosines = x @ _unit(read(start, stop)).T
        here = ((own >= start) & (own < stop)).nonzero().squeeze(1)
        cosines[here, own[here] - start] = -1.0
        best = torch.maximum(best, cosines.amax(dim=1))
    return best.clamp(-1.0, 1.0).cpu().numpy()


def _unit(rows: Tensor) -> Tensor:
    return rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-12)


def _random_rows(seed: int, start: int, stop: int, d: int) -> Tensor:
    """Rows start to stop of a random dictionary, made anew whenever they are read: `start` is that of a block."""
    rng = np.random.default_rng([seed, start])
    return torch.from_numpy(rng.standard_normal((stop - start, d), dtype=np.float32))


def _told(cosines: np.ndarray) -> dict[str, Any]:
    known = len(cosines) > 0
    return {
        "counts": np.histogram(cosines, EDGES)[0].tolist(),
        "median": float(np.median(cosines)) if known else None,
        "alike_share": float((cosines > ALIKE).mean()) if known else None,
    }
