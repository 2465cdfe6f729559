"""Leases on work in progress, so that a killed job's work is taken over and a living job's is left alone."""

import contextlib
import json
import os
import shutil
import socket
import threading
import time
import uuid
from pathlib import Path

HEARTBEAT_SECONDS = 5.0
STALE_SECONDS = 60.0


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, whichever `path` is, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _process_start(pid: int) -> str | None:
    """When the process began, where /proc tells it: a pid that was given out again is another process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return None


def _alive(pid: int, start: str | None) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return start is None or _process_start(pid) == start


def is_stale(lease: Path) -> bool:
    """True if the writer that holds `lease` is gone: dead on this host, or silent for STALE_SECONDS elsewhere."""
    try:
        holder = json.loads(lease.read_text())
        age = time.time() - lease.stat().st_mtime
    except FileNotFoundError:
        return False
    except ValueError:  # its writer was killed between creating and writing it
        return time.time() - lease.stat().st_mtime > HEARTBEAT_SECONDS
    if holder["host"] == socket.gethostname():
        return not _alive(holder["pid"], holder["start"])
    return age > STALE_SECONDS


class Lease:
    """The right to write one folder of `partial/`, held by a heartbeat on the file `lease.json` in it."""

    def __init__(self, folder: Path, nonce: str):
        self.folder, self.nonce = folder, nonce
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True, name="lease")
        self._thread.start()

    @property
    def file(self) -> Path:
        return self.folder / "lease.json"

    def held(self) -> bool:
        """True while no other writer has taken this lease over."""
        try:
            return json.loads(self.file.read_text())["nonce"] == self.nonce
        except (OSError, ValueError):
            return False

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            if not self.held():
                # Asleep for too long: somebody else writes here now, so this process must not, not even to clean up.
                # No signal does that for sure: a workflow in the background (`nohup snakemake &`) ignores SIGINT.
                os.write(2, f"{self.file}: another writer has taken over, so this one stops\n".encode())
                os._exit(1)
            os.utime(self.file)

    def release(self) -> None:
        """Give the folder back; what is in it stays."""
        self._stop.set()
        self._thread.join()
        if self.held():
            self.file.unlink()

    def begin(self, basis: str) -> None:
        """Keep what an earlier writer left, but only if that worked on the same `basis`."""
        note = self.folder / "basis"
        if not note.exists() or note.read_text() != basis:
            self._empty()
            note.write_text(basis)

    def _empty(self) -> None:
        for path in self.folder.iterdir() if self.held() else ():
            if path != self.file:
                remove(path)

    def clear(self) -> None:
        """Remove the folder, its lease last: a successor that came in meanwhile would lose what it writes."""
        self._empty()
        self.release()
        with contextlib.suppress(OSError):
            self.folder.rmdir()


def _take_over(temporary: Path, file: Path) -> bool:
    """Put `temporary` in the place of a stale lease; of several successors one alone does."""
    guard = file.with_name("takeover")
    try:
        guard.touch(exist_ok=False)
    except FileExistsError:
        return False
    try:
        if not is_stale(file):  # another successor was here between our look and the guard
            return False
        temporary.replace(file)
        return True
    finally:
        guard.unlink()


def claim(folder: Path) -> Lease | None:
    """A lease on `folder`, which is made if need be; None if somebody living holds it."""
    file, nonce, pid = folder / "lease.json", uuid.uuid4().hex, os.getpid()
    holder = {"host": socket.gethostname(), "pid": pid, "start": _process_start(pid), "nonce": nonce}
    temporary = folder / f"claim-{nonce}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if file.exists() and not is_stale(file):
            return None
        temporary.write_text(json.dumps(holder))
        try:
            os.link(temporary, file)  # atomic, and never over another's
        except FileExistsError:
            if not _take_over(temporary, file):
                return None
        finally:
            temporary.unlink(missing_ok=True)
    except FileNotFoundError:
        return None  # a writer that has finished removed the folder this very moment
    return Lease(folder, nonce)


def acquire(parent: Path) -> Lease:
    """A lease on the first folder `parent/0`, `parent/1`, … that nobody living holds.

    What an earlier writer left in that folder is still there: that is how a killed job is resumed.
    """
    parent.mkdir(parents=True, exist_ok=True)
    number = 0
    while True:
        lease = claim(parent / str(number))
        if lease is not None:
            return lease
        number += 1
