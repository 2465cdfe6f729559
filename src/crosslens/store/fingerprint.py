"""What code an artifact depends on: the import closure of a module within src/, and the script that calls it, without
comments and docstrings."""

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

from crosslens.registry import SHARED
from crosslens.store.checkout import checkout
from crosslens.store.code import Code, read_code
from crosslens.store.digests import content_digest
from crosslens.store.imports import SRC, module_file

# They say how a run is reported or fails, never what is computed.
NEUTRAL = {"crosslens", "crosslens.errors", "crosslens.progress"}

# What editors, systems and interpreters leave beside the code.
LEFTOVER = re.compile(r"\..*|.*~|.*\.(pyc|orig|rej|bak|tmp)|#.*#")

# Packages whose version can change numbers or pictures, by import name.
VERSIONED = {
    "PIL": "pillow",
    "camel_tools": "camel-tools",
    "gguf": "gguf",
    "jinja2": "jinja2",
    "kiwisolver": "kiwisolver",
    "markupsafe": "markupsafe",
    "matplotlib": "matplotlib",
    "numba": "numba",
    "numpy": "numpy",
    "openTSNE": "openTSNE",
    "pandas": "pandas",
    "polib": "polib",
    "pyarrow": "pyarrow",
    "pynndescent": "pynndescent",
    "pyparsing": "pyparsing",
    "regex": "regex",
    "scipy": "scipy",
    "seaborn": "seaborn",
    "sklearn": "scikit-learn",
    "tokenizers": "tokenizers",
    "torch": "torch",
    "transformers": "transformers",
    "umap": "umap-learn",
    "yaml": "pyyaml",
}

# What decides numbers or pictures inside of another package, whether or not it is imported here too.
BROUGHT = {
    "jinja2": ("markupsafe",),
    "matplotlib": ("PIL", "kiwisolver", "pyparsing"),  # compression of pictures, layout, formulae
    "openTSNE": ("scipy", "sklearn"),
    "pandas": ("pyarrow",),  # its strings, and the files of tables
    "sklearn": ("scipy",),
    "transformers": ("PIL", "jinja2", "tokenizers"),
    "umap": ("numba", "pynndescent", "scipy", "sklearn"),
}


@dataclass(frozen=True)
class Closure:
    """What a module and everything it imports from src/ consist of."""

    modules: dict[str, str]
    """module name, or path of a data file beside it or of the script, to digest."""
    versions: dict[str, str]
    """distribution to version, of the packages that it imports and that decide numbers."""


_file = cache(module_file)


@cache
def _parsed(module: str, src: Path) -> Code:
    path = _file(module, src)
    assert path is not None
    return read_code(module, path)


def packages_of(files: Iterable[Path]) -> dict[str, str]:
    """Distribution to version, of the packages that Python files import beside Python's own and crosslens."""
    names = {name.split(".")[0] for file in files for name in read_code(file.stem, file).imports}
    names -= {"", "crosslens", *sys.stdlib_module_names}
    # Known names first: what all that is installed brings takes a while to ask.
    known = {name: [VERSIONED[name]] for name in names & VERSIONED.keys()}
    brings = packages_distributions() if names - known.keys() else {}
    found = {package for name in names for package in (known | brings).get(name, [])}
    return {package: installed_version(package) or "not installed" for package in sorted(found)}


def _members(package: str, chosen: tuple[str, ...], src: Path) -> list[str]:
    """Those of an open package that are among the chosen; where none is, any may be used."""
    folder = src.joinpath(*package.split("."))
    known = [f"{package}.{file.stem}" for file in sorted(folder.glob("*.py")) if file.stem not in SHARED]
    return [name for name in known if name in chosen] or known


@cache
def installed_version(name: str) -> str | None:
    """Of a package; None where it is not installed."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return None
    # `found.version` parses all that is told, at every start; the README behind it is the longest part.
    told = re.search(r"^Version: *(\S+)$", found.read_text("METADATA") or "", re.MULTILINE)
    return told[1] if told else found.version


def _brought(name: str) -> set[str]:
    """What a package brings, itself or by what it brings."""
    return {more for brought in BROUGHT.get(name, ()) for more in (brought, *_brought(brought))}


@cache
def _beside(folder: Path, src: Path) -> dict[str, str]:
    """Path within `src` to digest, of the data files in a package's folder."""
    return {
        path.relative_to(src).as_posix(): content_digest(path)
        for path in folder.iterdir()
        if path.is_file() and not LEFTOVER.fullmatch(path.name) and path.suffix != ".py"
    }


@cache
def closure(
    module: str, members: tuple[str, ...] = (), script: str | None = None, src: Path = SRC
) -> Closure:
    """The closure of `module`, a dotted name within `src`; data files of its packages (templates, styles) count too.

    script: name of the one in workflow/scripts that calls it; what it imports besides is its other functions'.

    An open package that it reaches (see crosslens.registry) is entered by those of its members that `members` names,
    in full, and by all of them where it names none. What `members` names of packages that are not reached is left out.
    """
    if _file(module, src) is None:
        raise ModuleNotFoundError(f"{module} is not a module of {src}")
    todo, modules, outside = [module], {}, set()
    package_name = module.split(".")[0]
    if script is not None:
        path = checkout(src) / "workflow" / "scripts" / f"{script}.py"
        modules[f"workflow/scripts/{path.name}"] = read_code(f"workflow.scripts.{script}", path).digest
    while todo:
        name = todo.pop()
        if name in modules or name in NEUTRAL:
            continue
        # beside an installed library lie the packages that it uses
        path = _file(name, src) if name.split(".")[0] == package_name else None
        if path is None:
            outside.add(name.split(".")[0])
            continue
        code = _parsed(name, src)
        modules[name] = code.digest
        modules |= _beside(path.parent, src)
        todo += code.imports
        for package in code.opens:
            todo += _members(package, members, src)
    for name in list(outside):
        outside |= _brought(name)
    # A job that needs one that is not there says so itself.
    versions = {
        VERSIONED[name]: installed_version(VERSIONED[name]) or "not installed"
        for name in outside & VERSIONED.keys()
    }
    return Closure(dict(sorted(modules.items())), dict(sorted(versions.items())))
