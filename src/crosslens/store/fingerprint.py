"""What code an artifact depends on: the import closure of a module within src/, and the script that calls it, without
comments and docstrings."""

import ast
import hashlib
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path
from typing import NamedTuple

from crosslens.registry import SHARED
from crosslens.store.digests import Memory, content_digest, digest

SRC = Path(__file__).resolve().parents[2]

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


@cache
def _file(module: str, src: Path) -> Path | None:
    base = f"{src}/{module.replace('.', '/')}"  # in one piece: a thousand names are looked for at every start
    return next((path for path in (Path(f"{base}.py"), Path(f"{base}/__init__.py")) if path.is_file()), None)


class Code(NamedTuple):
    """What a module's source says."""

    digest: str
    """Of the code without words."""
    imports: list[str]
    """Names that it imports, itself or by lying in their packages."""
    opens: list[str]
    """Open packages in which it finds members by name (see crosslens.registry)."""


class CodeMemory(Memory):
    """What was read from source, by the module's name and bytes: it is the same wherever a checkout lies."""

    limit = 4000
    """Entries from which on those that this run has not met are dropped."""

    def __init__(self, *caches: Path):
        super().__init__(*caches)
        self._met: set[str] = set()

    def recall(self, module: str, path: Path) -> Code:
        """As `_read`."""
        source = path.read_bytes()
        place = hashlib.sha256(f"{module} {path.name} ".encode() + source).hexdigest()
        if place not in self.known:
            self.known[place], self.changed = _read(module, path.name, source), True
        self._met.add(place)
        return Code(*self.known[place])

    def save(self) -> None:
        """As Memory."""
        if len(self.known) > self.limit:
            self.known = {place: self.known[place] for place in self._met}
        super().save()


_memory: CodeMemory | None = None


def remember_in(*folders: Path) -> CodeMemory:
    """Keep what is read from modules between runs; the caller saves what is returned, to the first of the folders."""
    global _memory
    # What this file does, and how this Python writes code down, decide the digests.
    version = f"{sys.version_info.major}.{sys.version_info.minor}-{content_digest(Path(__file__))[:12]}"
    _memory = CodeMemory(*(folder / f"code-{version}.json" for folder in folders))
    return _memory


@cache
def _parsed(module: str, src: Path) -> Code:
    path = _file(module, src)
    assert path is not None
    return _code(module, path)


def _code(module: str, path: Path) -> Code:
    if _memory is None:
        return _read(module, path.name, path.read_bytes())
    return _memory.recall(module, path)


def imported_beside(file: Path) -> list[Path]:
    """A Python file and those of its folder and below that it imports, itself or by others, sorted.

    Raises SyntaxError and ValueError of what is no Python.
    """
    todo, found = [file.stem], {}
    while todo:
        name = todo.pop()
        if name not in found and (path := _file.__wrapped__(name, file.parent)) is not None:
            found[name] = path
            todo += _read(name, path.name, path.read_bytes()).imports
    return sorted(found.values())


def packages_of(files: Iterable[Path]) -> dict[str, str]:
    """Distribution to version, of the packages that Python files import beside Python's own and crosslens."""
    names = {
        name.split(".")[0]
        for file in files
        for name in _read(file.stem, file.name, file.read_bytes()).imports
    }
    names -= {"", "crosslens", *sys.stdlib_module_names}
    # Known names first: what all that is installed brings takes a while to ask.
    known = {name: [VERSIONED[name]] for name in names & VERSIONED.keys()}
    brings = packages_distributions() if names - known.keys() else {}
    found = {package for name in names for package in (known | brings).get(name, [])}
    return {package: installed_version(package) or "not installed" for package in sorted(found)}


def _read(module: str, file: str, source: bytes) -> Code:
    tree = ast.parse(source)
    parts = module.split(".")
    package = parts if file == "__init__.py" else parts[:-1]
    imports = {".".join(parts[:i]) for i in range(1, len(parts))}
    opens = _opened(module, tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            imports |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            # A docstring, and the strings under a dataclass's fields, are words: they change nothing.
            kept = [
                statement
                for statement in node.body
                if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
            ]
            node.body = kept or [ast.Pass()]
    return Code(digest(ast.unparse(tree)), sorted(imports), sorted(opens))


def _opened(module: str, tree: ast.Module) -> set[str]:
    """The packages of its calls of `crosslens.registry.member`, written out or constants of the module."""
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("member", "registry.member"):
            package = node.args[0]
            found.add(
                package.value if isinstance(package, ast.Constant) else constants.get(ast.unparse(package))
            )
    if None in found:
        raise ValueError(
            f"{module} finds members of a package whose name is not written out: no key can follow it"
        )
    return found


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
    if script is not None:
        path = src.parent / "workflow" / "scripts" / f"{script}.py"
        modules[f"workflow/scripts/{path.name}"] = _code(f"workflow.scripts.{script}", path).digest
    while todo:
        name = todo.pop()
        if name in modules or name in NEUTRAL:
            continue
        path = _file(name, src)
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
