"""What a fuzzed file is."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mutations import Mutate


class Target(NamedTuple):
    file: Path
    """It is overwritten by what it becomes."""
    mutate: Mutate
    read: Callable[[], object]
    """It may return or raise InputError, and nothing else."""
    beside: int = 0
    """Bytes of the other files that are read with it."""


class AcceptedDamage(Exception):
    """Damage to something that holds its own digest was taken for the whole."""
