"""Where the time of a training step goes: its pieces, each beside what it cannot be quicker than on this machine.

Pieces are timed in whole steps, while they run, each without the pieces that it calls: their times add up to the step's.
A piece's limit is the longer of its products at the rates of dense products of the encoder's size, and its bytes at the
rate of a copy of a large tensor, as if no cache held anything: a gather whose rows a cache holds may be quicker.
"""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor

from crosslens.sae import sparse, step, update
from crosslens.sae.architectures.base import Architecture
from crosslens.sae.architectures.topk import TopK


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
    """Bytes read and written a second by a copy of a large tensor."""

    def seconds(self, cost: Cost) -> float:
        """The least that `cost` takes."""
        products = cost.low / self.low + cost.single / self.single
        return max(products, (cost.streamed + cost.gathered) / self.bytes)
