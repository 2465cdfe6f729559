"""Disk errors told so that a user can mend them."""

import errno
import os
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
