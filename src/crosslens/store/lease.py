"""Leases on work in progress, so that a killed job's work is taken over and a living job's is left alone."""

import json
import os
import signal
import socket
import threading
import time
import uuid
from pathlib import Path

HEARTBEAT_SECONDS = 5.0
STALE_SECONDS = 60.0


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
                # Asleep for too long: somebody else writes here now, so this process must not.
                os.kill(os.getpid(), signal.SIGINT)
                return
            os.utime(self.file)

    def release(self) -> None:
        """Give the folder back; what is in it stays."""
        self._stop.set()
        self._thread.join()
        if self.held():
            self.file.unlink()


def _claim(folder: Path) -> Lease | None:
    folder.mkdir(parents=True, exist_ok=True)
    file, nonce = folder / "lease.json", uuid.uuid4().hex
    if file.exists():
        if not is_stale(file):
            return None
        try:
            file.rename(folder / f"stale-{nonce}")  # only one of several successors can do this
            (folder / f"stale-{nonce}").unlink()
        except FileNotFoundError:
            return None
    pid = os.getpid()
    holder = {"host": socket.gethostname(), "pid": pid, "start": _process_start(pid), "nonce": nonce}
    temporary = folder / f"claim-{nonce}"
    temporary.write_text(json.dumps(holder))
    try:
        os.link(temporary, file)  # atomic, and never over another's
    except FileExistsError:
        return None
    finally:
        temporary.unlink()
    return Lease(folder, nonce)


def acquire(parent: Path) -> Lease:
    """A lease on the first folder `parent/0`, `parent/1`, … that nobody living holds.

    What an earlier writer left in that folder is still there: that is how a killed job is resumed.
    """
    number = 0
    while True:
        lease = _claim(parent / str(number))
        if lease is not None:
            return lease
        number += 1
