"""Which texts can be paths. Standard library only: the Snakefile asks."""

LONGEST = 255
"""Bytes of the name of a file or folder that every usual file system takes."""
DEEPEST = 3000
"""Bytes of a whole path, so that what stands before it has room in the 4,096 that Linux takes."""


def is_path(text: str) -> bool:
    """Whether a path, and every name in it, is short enough; of longer ones file systems do not say that they are not there."""
    parts = [len(part.encode(errors="replace")) for part in text.split("/")]
    return max(parts) <= LONGEST and sum(parts) + len(parts) <= DEEPEST
