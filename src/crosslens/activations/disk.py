"""Disk errors told so that a user can mend them, and checksums of what is on disk."""

import errno
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crosslens.errors import InputError

_MEND = {
    errno.ENOSPC: "free space on that disk or move the store (CROSSLENS_STORE), then run again: it resumes",
    errno.EDQUOT: "free some of your quota or move the store (CROSSLENS_STORE), then run again: it resumes",
    errno.EACCES: "make the folder writable for you, then run again: it resumes",
    errno.EROFS: "move the store (CROSSLENS_STORE) to a disk that can be written, then run again",
}


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Full, unwritable and read-only disks as InputError; other errors of the system as they are."""
    try:
        yield
    except OSError as error:
        if error.errno not in _MEND:
            raise
        raise InputError(
            error.filename or path,
            found=os.strerror(error.errno),
            expected="a disk that takes the activations",
            mend=_MEND[error.errno],
        ) from error


def checksum(path: Path) -> int | None:
    """CRC-32 of a file, None where there is none: it tells damage from a kill, at a twentieth of the cost of a sha256."""
    found = 0
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                found = zlib.crc32(block, found)
    except FileNotFoundError:
        return None
    return found
