"""One function by itself: what extracts and trains uses it, and nothing else of the store that hands out work."""

import shutil
from pathlib import Path


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, whichever `path` is, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
