"""A Python file of the user's and the modules beside it: run so that all of it is in the keys of what it makes."""

import os
import runpy
import site
import sys
import sysconfig
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from crosslens.errors import InputError
from crosslens.store.imports import SRC, imported_beside


def run_file(file: Path) -> None:
    """Run it, with the modules of its folder to import; InputError where it fails, or brings in or reads what no key holds.

    Of a link the folder is that of the file that it leads to, as where Python runs a script. Not seen: what C and Rust
    open (safetensors), and what its functions read later.
    """
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.append(
            folder
        )  # last, so that nothing in it hides what is installed; and for imports that come later
    before = set(sys.modules)
    try:
        with _reads() as read, _sources_alone():
            runpy.run_path(str(file))
    except InputError as error:
        raise InputError(
            f"{file}: {error.where}", found=error.found, expected=error.expected, mend=error.mend
        ) from error
    except Exception as error:
        raise InputError(
            f"{file}, {_line(file, error)}",
            found=f"{type(error).__name__}: {error}",
            expected="a Python file that runs",
            mend="correct it; `python` with its path shows the whole error",
        ) from error
    known = {path.resolve() for path in imported_beside(file.resolve())}
    for name in set(sys.modules) - before:
        path = getattr(sys.modules.get(name), "__file__", None)
        if path and (place := Path(path).resolve()) not in known and not _installed(place):
            raise InputError(
                file,
                found=f"an import of {name} ({path})",
                expected="modules of its own folder, imported by their names, and installed packages: no key follows others",
                mend=f"move {Path(path).name} beside it",
            )
    for by, path in read:
        if by.resolve() in known and path not in known and path.is_file() and not _installed(path):
            raise InputError(
                by,
                found=f"it reads {path}, which is in no key",
                expected="what decides numbers in itself or in modules of its folder, imported by their names",
                mend=f"import {path.name} if it is Python, else write what it says into {by.name}",
            )


@contextmanager
def _sources_alone() -> Iterator[None]:
    """What is imported meanwhile is compiled from its source: bytecode beside it may be of a source of the same size and date,
    and no key holds it."""
    before = sys.pycache_prefix
    with tempfile.TemporaryDirectory() as folder:
        sys.pycache_prefix = folder
        try:
            yield
        finally:
            sys.pycache_prefix = before


_hearing: list[tuple[Path, Path]] | None = None


@cache
def _hear() -> None:
    """An audit hook stays for good, so there is one, which hears nothing outside of `_reads`."""

    def heard(event: str, args: tuple) -> None:
        if _hearing is None or event != "open" or not isinstance(args[0], str | bytes):
            return
        if (args[2] or 0) & (os.O_WRONLY | os.O_RDWR):
            return
        # Whoever asked for it: the first outside of the installation, unless it asked for an import.
        frame = sys._getframe(1)
        while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
            by = frame.f_code.co_filename
            if by.endswith(".py") and not _installed(Path(by)):
                _hearing.append((Path(by), Path(os.fsdecode(args[0])).resolve()))
                return
            frame = frame.f_back

    sys.addaudithook(heard)


@contextmanager
def _reads() -> Iterator[list[tuple[Path, Path]]]:
    """Which files code outside of the installation reads meanwhile: (the code's file, what it reads)."""
    global _hearing
    _hear()
    _hearing = found = []
    try:
        yield found
    finally:
        _hearing = None


def _line(file: Path, error: Exception) -> str:
    """Where in the file it failed."""
    own = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    found = error.lineno if isinstance(error, SyntaxError) else own[-1] if own else None
    return f"line {found}"


def _installed(path: Path) -> bool:
    paths = sysconfig.get_paths()
    roots = [*(paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")), str(SRC)]
    return any(path.is_relative_to(Path(root).resolve()) for root in [*roots, *site.getsitepackages()])
