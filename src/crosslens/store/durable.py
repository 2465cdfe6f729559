"""Writes that a power cut cannot undo or halve."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Make a file, or the entries of a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_durably(path: Path, temporary: Path) -> None:
    """Put the finished file `temporary` in the place of `path`, all or nothing."""
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)
