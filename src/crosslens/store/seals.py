"""Seals: how an object's files looked when its bytes were last found to be what its name says.

A reader compares looks; bytes are read again only where a file was written, replaced or copied since.
"""

import contextlib
import os
from pathlib import Path

from crosslens.store.digests import content_digest, digest
from crosslens.store.store import Store


def _looks(target: Path) -> str:
    """Of sizes, inodes and times of change: whatever writes to a file gives it another."""
    files = sorted(path for path in target.rglob("*") if path.is_file()) if target.is_dir() else [target]
    stats = [(file, file.stat()) for file in files]
    return digest(
        [[str(file.relative_to(target)), stat.st_size, stat.st_ino, stat.st_ctime_ns] for file, stat in stats]
    )


def _place(root: Path, target: Path) -> Path:
    return root / "seals" / target.name[:2] / target.name


def seal(store: Store, target: Path, looks: str | None = None) -> None:
    """Note that the bytes of an object are right; a store that cannot take the note only costs time."""
    place = _place(store.own, target)
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_name(f".{place.name}.{os.getpid()}")
        temporary.write_text(looks or _looks(target))
        temporary.replace(place)


def is_sealed(store: Store, target: Path) -> bool:
    """Whether an object's bytes are what its name says; they are read where no seal of any root tells."""
    looks = _looks(target)
    for root in store.roots:
        with contextlib.suppress(OSError):
            if _place(root, target).read_text() == looks:
                return True
    if content_digest(target) != target.name.split(".")[0]:
        return False
    seal(store, target, looks)
    return True
