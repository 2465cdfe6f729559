"""Leases on work in progress, so that a killed job's work is taken over and a living job's is left alone.

A writer's folder in `partial/<key>/` has a name of its own and holds `lease.json`. A folder is taken over by renaming it:
of several successors one alone succeeds, and the paths of a writer that wakes up late lead nowhere.
"""

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from crosslens.store.durable import write_durably
from crosslens.store.remove import remove

HEARTBEAT_SECONDS = 5.0
STALE_SECONDS = 60.0


@cache
def _place() -> str | None:
    """This host and its processes' numbers: alike names, clones and containers differ. None where /proc does not tell."""
    try:
        if Path("/proc/self").readlink().name != str(os.getpid()):  # the /proc of another namespace
            return None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None


def _process_start(pid: int) -> str | None:
    """When the process began: a pid that was given out again is another process. None if it has ended or cannot be seen."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError, ValueError):
        return None
    return None if state in "ZX" else fields[18]


def _hidden(pid: int) -> bool:
    """True if there is such a process and /proc keeps it from this user."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return not Path(f"/proc/{pid}").exists()
    return False


def is_gone(folder: Path) -> bool | None:
    """Whether the writer of `folder` has ended or given it back; None where only its heartbeat can tell (see `abandoned`)."""
    try:
        holder = json.loads((folder / "lease.json").read_text())
        place, pid, start = holder["place"], holder["pid"], holder["start"]
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if type(pid) is not int or not 0 < pid < 1 << 31:  # Linux has no other
        return None
    if place is None or place != _place() or _hidden(pid):
        return None
    return _process_start(pid) != start


def _pulse(folder: Path) -> int | None:
    """Changes with every heartbeat. The file is opened, as a network file system may remember a date for a minute."""
    try:
        with (folder / "lease.json").open() as file:
            return os.fstat(file.fileno()).st_mtime_ns
    except OSError:
        return None


def abandoned(folders: Iterable[Path]) -> list[Path]:
    """Those whose writers are gone: dead on this host, or without a heartbeat while this process looks for STALE_SECONDS.

    No clock is compared with another's.
    """
    told = {folder: is_gone(folder) for folder in folders}
    pulses = {folder: _pulse(folder) for folder, gone in told.items() if gone is None}
    began = time.monotonic()
    while pulses and time.monotonic() - began < STALE_SECONDS:
        time.sleep(HEARTBEAT_SECONDS / 2)
        pulses = {folder: pulse for folder, pulse in pulses.items() if _pulse(folder) == pulse}
    return [folder for folder, gone in told.items() if gone or folder in pulses]


class Lease:
    """The right to write one folder of `partial/`, held by a heartbeat on the file `lease.json` in it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True, name="lease")
        self._thread.start()

    @property
    def file(self) -> Path:
        return self.folder / "lease.json"

    def held(self) -> bool:
        """True while no other writer has taken this folder over and the heartbeat goes on."""
        return self._thread.is_alive() and self.file.exists()

    def _beat(self) -> None:
        beaten = time.monotonic()
        while not self._stop.wait(HEARTBEAT_SECONDS):
            try:
                os.utime(self.file)
                beaten = time.monotonic()
            except FileNotFoundError:
                self._end("another writer has taken over")
            except Exception as error:  # whatever it is: others soon take this writer for dead
                if time.monotonic() - beaten > STALE_SECONDS / 2:
                    self._end(f"no heartbeat ({error})")

    def _end(self, why: str) -> None:
        """End this process, which must not write any more, not even to clean up.

        No signal does that for sure: a workflow in the background (`nohup snakemake &`) ignores SIGINT.
        """
        os.write(2, f"{self.file}: {why}, so this writer stops\n".encode())
        os._exit(1)

    def release(self) -> None:
        """Give the folder back; what is in it stays."""
        self._stop.set()
        self._thread.join()
        self.file.unlink(missing_ok=True)

    def begin(self, basis: str) -> bool:
        """Keep what an earlier writer left, but only if that worked on the same `basis`. False where it did not."""
        note = self.folder / "basis"
        if note.is_file() and note.read_bytes() == basis.encode():
            return True
        fresh = all(path == self.file for path in self.folder.iterdir())
        self._empty()
        write_durably(note, basis)
        return fresh

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


def _rename(folder: Path, to: Path) -> bool:
    """False if another was quicker. A network file system may say "not there" of a rename that it did twice."""
    try:
        folder.rename(to)
    except FileNotFoundError:
        return to.exists()
    return True


def _hold(parent: Path, left: Path | None) -> Lease | None:
    """A lease on what is `left`, or on a new folder; None if another was quicker.

    A kill at any point leaves the folder to the next: its name is hidden until the lease is in it.
    """
    nonce, pid = uuid.uuid4().hex, os.getpid()
    hidden, own = parent / f".{nonce}", parent / nonce
    holder = {"place": _place(), "pid": pid, "start": _process_start(pid)}
    try:
        if left and not _rename(left, hidden):
            return None
        if left and (hidden.is_symlink() or not hidden.is_dir()):
            hidden.unlink()
        hidden.mkdir(exist_ok=bool(left))
        (hidden / "claim").write_text(json.dumps(holder))
        (hidden / "claim").replace(hidden / "lease.json")
    except FileNotFoundError:  # it was taken from under our hands, or the folder around it was removed
        return None
    return Lease(own) if _rename(hidden, own) else None


def claim(folder: Path) -> Lease | None:
    """A lease on what is in `folder`, whose writer is gone, under a new name; None if another was quicker."""
    return _hold(folder.parent, folder)


def acquire(parent: Path) -> Lease:
    """A lease on a folder in `parent`: one that nobody living holds, or a new one.

    What an earlier writer left in that folder is still there: that is how a killed job is resumed. Where only a
    heartbeat can tell whether a writer lives (another host, another container), this takes up to STALE_SECONDS.
    """
    if not parent.is_dir():
        parent.unlink(missing_ok=True)
    parent.mkdir(parents=True, exist_ok=True)
    left = sorted(parent.iterdir())
    for folder in [*filter(is_gone, left), *abandoned(folder for folder in left if is_gone(folder) is None)]:
        if lease := claim(folder):
            return lease
    while not (lease := _hold(parent, None)):
        parent.mkdir(parents=True, exist_ok=True)
    return lease
