"""sha256 of values, files and folders."""

import contextlib
import hashlib
import json
import time
from pathlib import Path
from typing import Any

from crosslens.store.durable import read_sealed, write_sealed


def digest(value: Any) -> str:
    """sha256 (64 hex digits) of a JSON-able value in canonical form."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def content_digest(path: Path) -> str:
    """sha256 of a file's bytes; of a folder, the digest of its sorted (relative path, sha256) list."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return digest([[file.relative_to(path).as_posix(), content_digest(file)] for file in files])


class Memory:
    """What was computed, kept between runs in a JSON file; one that cannot be read or written only costs time."""

    def __init__(self, *caches: Path):
        """The first is written, the others are only read."""
        self.cache, self.changed = caches[0], False
        self.known: dict[str, Any] = {}
        for cache in reversed(caches):
            self.known |= read_sealed(cache) or {}

    def save(self) -> None:
        """Write the file, whole or not at all, where there is anything new."""
        if not self.changed:
            return
        with contextlib.suppress(OSError):
            write_sealed(self.cache, self.known)
            self.changed = False


class FileDigests(Memory):
    """sha256 of files, remembered by (size, mtime, ctime, inode), so that unchanged files are not read anew.

    `cp -p` and `touch -d` leave size and mtime, but not ctime, as they were. A file that changed less than two seconds ago is
    not remembered: a second edit could leave the same times.
    """

    def __init__(self, *caches: Path):
        super().__init__(*caches)
        self.taken: dict[str, str | None] = {}
        """Absolute path to what was told first: what is made of it before holds that one."""

    def __call__(self, path: Path) -> str:
        """sha256 of the file at `path`."""
        return self._told(path, self._digest(path))

    def or_none(self, path: Path) -> str | None:
        """The same; None where there is no file, which is then as much part of a key as a digest is."""
        return self._told(path, self._digest(path) if path.is_file() else None)

    def _told(self, path: Path, found: str | None) -> Any:
        self.taken.setdefault(str(path.absolute()), found)
        return found

    def _digest(self, path: Path) -> str:
        stat = path.stat()
        name = str(path.absolute())
        stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
        entry = self.known.get(name)
        if entry and entry[:-1] == stamp:
            return entry[-1]
        found = content_digest(path)
        if time.time_ns() - max(stat.st_mtime_ns, stat.st_ctime_ns) > 2_000_000_000:
            self.known[name] = [*stamp, found]
            self.changed = True
        return found
