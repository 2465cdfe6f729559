"""Where the time of a training step goes: its pieces, each beside what it cannot be quicker than on this machine.

Pieces are timed while whole steps run, each without the pieces that it calls: together they are the step. A piece's limit
is the longer of two times: of its products, at the rates of dense products of the encoder's size, and of its bytes, at
the rate of a copy of a large tensor. Where a cache holds what is read, a piece may be quicker than the second.
"""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor

from crosslens.sae import sparse, step
from crosslens.sae.architectures.base import SPARE, Architecture
from crosslens.sae.architectures.topk import TopK

COPIED = 1 << 27
"""Bytes of the tensor that is copied."""
PIECES = {
    "product": (Architecture, "proposals"),
    "candidates": (TopK, "strongest"),
    "values": (Architecture, "exact"),
    "decode": (Architecture, "decode"),
    "auxk": (Architecture, "aux_loss"),
    "backward": (Tensor, "backward"),
    "code_gradient": (sparse, "_sample"),
    "matrix_gradients": (sparse, "_add_by_column"),
    "projection": (Architecture, "project_gradient"),
    "norm": (step, "_excess"),
    "adam": (torch.optim.Adam, "step"),
    "constraint": (Architecture, "constrain"),
}
"""What a step calls for each of its pieces: `backward` is AuxK's products and all that is of the size of the batch, and
what is in none of them is the step's `rest`."""
WITHIN = {"code_gradient": ("values",)}
"""A piece that counts as another where that one calls it."""


class Cost(NamedTuple):
    """What a piece of a step asks of the machine."""

    low: float = 0
    """FLOPs in bfloat16."""
    single: float = 0
    """FLOPs in float32."""
    streamed: float = 0
    """Bytes read and written in passes over whole tensors."""
    gathered: float = 0
    """Bytes of rows read at places, which caches may hold: each row is wanted Bk / F times."""


class Rates(NamedTuple):
    """What the machine gives, with the threads of the process."""

    low: float
    """FLOP/s of a bfloat16 product of the encoder's size."""
    single: float
    """FLOP/s of a float32 one."""
    bytes: float
    """Bytes read and written a second by a copy."""

    def seconds(self, cost: Cost) -> float:
        """What `cost` takes at least."""
        products = cost.low / self.low + cost.single / self.single
        return max(products, (cost.streamed + cost.gathered) / self.bytes)


def costs(d: int, width: int, tokens: int, k: int, dead: int) -> dict[str, Cost]:
    """FLOPs and bytes of each piece of our step, as if no cache held a large tensor from one piece to the next.

    B tokens, d wide, F features, k active, s = SPARE further candidates, n dead: a multiplication and an addition are
    2 FLOPs.
    """
    matrix, batch, places = d * width, d * tokens, tokens * k
    return {
        # the encoder cast and read, pre-activations written
        "product": Cost(low=2 * tokens * matrix, streamed=8 * matrix + 6 * batch + 2 * tokens * width),
        "candidates": Cost(streamed=2 * tokens * width),
        "values": Cost(single=2 * d * tokens * (k + SPARE), gathered=4 * d * tokens * (k + SPARE)),
        "decode": Cost(single=2 * d * places, gathered=4 * d * places, streamed=8 * batch),
        # two products; the rows picked and cast, the error and what it is modelled by
        "auxk": Cost(low=4 * batch * dead, streamed=20 * d * dead + 6 * tokens * dead + 16 * batch),
        # three products of AuxK, its rows' gradients, the error's gradients, b_dec's by way of the encoder
        "backward": Cost(low=6 * batch * dead, streamed=24 * d * dead + 4 * matrix + 32 * batch),
        "code_gradient": Cost(single=2 * d * places, gathered=4 * d * places),
        "matrix_gradients": Cost(single=4 * d * places, gathered=8 * d * places, streamed=8 * matrix),
        "projection": Cost(single=4 * matrix, streamed=12 * matrix),
        "norm": Cost(single=4 * matrix, streamed=8 * matrix),
        # of both, gradient, parameter and two moments are read, and all but the gradient written
        "adam": Cost(single=24 * matrix, streamed=56 * matrix),
        "constraint": Cost(single=3 * matrix, streamed=8 * matrix),
        # the batch normalised, centred, and its spread
        "rest": Cost(streamed=40 * batch),
    }


class Stopwatch:
    """Seconds of the pieces of what runs while it is on."""

    def __init__(self):
        self.seconds: dict[str, float] = defaultdict(float)
        self._running, self._since = ["rest"], 0.0

    def _switch(self) -> None:
        now = time.perf_counter()
        self.seconds[self._running[-1]] += now - self._since
        self._since = now

    def timed(self, piece: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """`work`, whose time counts as the piece's."""

        def run(*args, **kwargs):
            self._switch()
            within = self._running[-1] in WITHIN.get(piece, ())
            self._running.append(self._running[-1] if within else piece)
            try:
                return work(*args, **kwargs)
            finally:
                self._switch()
                self._running.pop()

        return run

    def of(self, work: Callable[[Tensor], object], x: Tensor) -> dict[str, float]:
        """The seconds of each piece of one step on x."""
        self.seconds.clear()
        with ExitStack() as patched:
            for piece, (owner, name) in PIECES.items():
                patched.enter_context(patch.object(owner, name, self.timed(piece, getattr(owner, name))))
            self._since = time.perf_counter()
            work(x)
            self._switch()
        return dict(self.seconds)


def profile(work: Callable[[Tensor], object], batches: list[Tensor], steps: int) -> dict[str, float]:
    """The median seconds of each piece, over `steps` steps."""
    stopwatch = Stopwatch()
    found = [stopwatch.of(work, batches[n % len(batches)]) for n in range(steps)]
    return {piece: statistics.median(one.get(piece, 0.0) for one in found) for piece in [*PIECES, "rest"]}


def best_seconds(work: Callable[[], object], times: int = 5) -> float:
    """The shortest of so many calls, after one that does not count."""
    found = []
    for _ in range(times + 1):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found[1:])


def rates(d: int, width: int, tokens: int) -> Rates:
    """Measured on the CPU."""
    x, W = torch.randn(tokens, d), torch.randn(width, d)
    one, other = torch.ones(COPIED // 4), torch.empty(COPIED // 4)

    def product(dtype: torch.dtype, rows: int) -> float:
        left, right = x[:rows].to(dtype), W.to(dtype)
        out = torch.empty(rows, width, dtype=dtype)
        return 2 * rows * d * width / best_seconds(lambda: torch.mm(left, right.T, out=out))

    # a quarter of the tokens, for the slower one's sake
    single = product(torch.float32, max(1, tokens // 4))
    return Rates(product(torch.bfloat16, tokens), single, 2 * COPIED / best_seconds(lambda: other.copy_(one)))


def table(found: dict[str, float], limits: dict[str, float], rates: Rates) -> list[str]:
    """Lines of text: a piece, its time, its share of the step, its limit and how many times that it takes."""
    whole = sum(found.values())
    lines = [
        f"  products: {rates.single:.3g} FLOP/s in float32, {rates.low:.3g} in bfloat16; copies {rates.bytes / 1e9:.3g} GB/s"
    ]
    for piece, seconds in sorted(found.items(), key=lambda item: -item[1]):
        least = limits[piece]
        lines.append(
            f"  {piece:18} {1e3 * seconds:9.2f} ms {100 * seconds / whole:5.1f} %   at least {1e3 * least:9.2f} ms"
            f"   {seconds / least:5.2f} times that"
        )
    return lines
