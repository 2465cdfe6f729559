"""A Python file of the user's and the modules beside it: run so that all of it is in the keys of what it makes."""

import runpy
import site
import sys
import sysconfig
import traceback
from pathlib import Path

from crosslens.errors import InputError
from crosslens.store.fingerprint import SRC, imported_beside


def run_file(file: Path) -> None:
    """Run it, with the modules of its folder to import; InputError where it fails or brings in one that no key would hold."""
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.append(
            folder
        )  # last, so that nothing in it hides what is installed; and for imports that come later
    before = set(sys.modules)
    try:
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
    known = {path.resolve() for path in imported_beside(file)}
    for name in set(sys.modules) - before:
        path = getattr(sys.modules.get(name), "__file__", None)
        if path and (place := Path(path).resolve()) not in known and not _installed(place):
            raise InputError(
                file,
                found=f"an import of {name} ({path})",
                expected="modules of its own folder, imported by their names, and installed packages: no key follows others",
                mend=f"move {Path(path).name} beside it",
            )


def _line(file: Path, error: Exception) -> str:
    """Where in the file it failed."""
    own = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    found = error.lineno if isinstance(error, SyntaxError) else own[-1] if own else None
    return f"line {found}"


def _installed(path: Path) -> bool:
    paths = sysconfig.get_paths()
    roots = [*(paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")), str(SRC)]
    return any(path.is_relative_to(Path(root).resolve()) for root in [*roots, *site.getsitepackages()])
