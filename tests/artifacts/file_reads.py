"""Which files one job reads: in Python by its audit hook, in C and Rust (safetensors, tokenizers, Parquet) by inotify.

Not seen: folders that are only listed, and what C and Rust open outside of the watched folders (fonts, shared libraries).
"""

import ctypes
import json
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

_IN_OPEN, _IN_ISDIR, _EVENT = 0x20, 0x40000000, struct.Struct("iIII")


class Watch:
    """Every file that anybody opens in some folders and below. Linux."""

    def __init__(self, *folders: Path):
        self._libc, self._roots = ctypes.CDLL(None, use_errno=True), folders
        self._fd = self._libc.inotify_init1(os.O_NONBLOCK)
        self._places: dict[int, Path] = {}

    def begin(self) -> None:
        """Forget what was opened, and watch the folders that there are by now."""
        for root in self._roots:
            for folder in (
                root,
                *(path for path in root.rglob("*") if path.is_dir() and not path.is_symlink()),
            ):
                number = self._libc.inotify_add_watch(self._fd, os.fsencode(folder), _IN_OPEN)
                assert number >= 0, os.strerror(ctypes.get_errno())
                self._places[number] = folder
        self.opened()

    def opened(self) -> set[Path]:
        """The files opened since."""
        found = set()
        while True:
            try:
                data = os.read(self._fd, 1 << 20)
            except BlockingIOError:
                return found
            while data:
                number, mask, _, length = _EVENT.unpack_from(data)
                name = data[_EVENT.size : _EVENT.size + length].rstrip(b"\0")
                data = data[_EVENT.size + length :]
                assert number >= 0, "more was opened than the queue holds"
                if not mask & _IN_ISDIR and number in self._places:
                    found.add(self._places[number] / os.fsdecode(name))


def recorded(work: Callable[[], None], watch: Watch, notes: Path) -> tuple[set[Path], set[str]]:
    """Do work in a child of this process; the files that it read, and the modules of crosslens that it imported.

    A child without these: what they keep in memory (a lexicon) is read by each job itself, as where each is a process.
    """
    watch.begin()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for name in [name for name in sys.modules if name.split(".")[0] == "crosslens"]:
                del sys.modules[name]  # and all that it keeps
            read = set()

            def heard(event: str, args: tuple) -> None:
                if (
                    event == "open"
                    and isinstance(args[0], str | bytes)
                    and not args[2] & (os.O_WRONLY | os.O_RDWR)
                ):
                    read.add(str(Path(os.fsdecode(args[0])).absolute()))

            sys.addaudithook(heard)
            work()
            modules = [name for name in sys.modules if name.split(".")[0] == "crosslens"]
            notes.write_text(json.dumps([sorted(read), modules]))
            status = 0
        except SystemExit as error:
            status = int(error.code or 0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0, "the job failed"
    read, modules = json.loads(notes.read_text())
    return {Path(path) for path in read} | watch.opened(), set(modules)
