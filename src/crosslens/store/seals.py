"""Seals: how an object's files looked when its bytes were last found to be what its name says.

A reader compares looks; bytes are read again only where a file was written, replaced or copied since.
"""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from crosslens.store.digests import content_digest, digest
from crosslens.store.store import Store


def looks(files: Iterable[str], folder: Path = Path()) -> str:
    """Digest of sizes, inodes and times of change of files by their names: whatever writes to one changes it."""
    stats = [(file, (folder / file).stat()) for file in files]
    return digest([[file, stat.st_size, stat.st_ino, stat.st_ctime_ns] for file, stat in stats])


def _looks(target: Path) -> str:
    files = (file.relative_to(target).as_posix() for file in target.rglob("*") if file.is_file())
    return looks(sorted(files) if target.is_dir() else [""], target)


def _place(root: Path, target: Path) -> Path:
    return root / "seals" / target.name[:2] / target.name


def seal(store: Store, target: Path) -> None:
    """Note that the bytes of an object are right; a store that cannot take the note only costs time."""
    place = _place(store.own, target)
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_name(f".{place.name}.{os.getpid()}")
        temporary.write_text(_looks(target))
        temporary.replace(place)


def is_sealed(store: Store, target: Path) -> bool:
    """Whether an object's bytes are what its name says; they are read where no seal of any root tells."""
    found = _looks(target)
    for root in store.roots:
        with contextlib.suppress(OSError):
            if _place(root, target).read_text() == found:
                return True
    if content_digest(target) != target.name.split(".")[0]:
        return False
    seal(store, target)
    return True
