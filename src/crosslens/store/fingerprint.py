"""What code an artifact depends on: the import closure of a module within src/, without comments and docstrings."""

import ast
import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from crosslens.store.digests import FileMemory, content_digest, digest

SRC = Path(__file__).resolve().parents[2]

# They say how a run is reported or fails, never what is computed.
NEUTRAL = {"crosslens", "crosslens.errors", "crosslens.progress"}

# What editors, systems and interpreters leave beside the code.
LEFTOVER = re.compile(r"\..*|.*~|.*\.(pyc|orig|rej|bak|tmp)|#.*#")

# Packages whose version can change numbers or pictures, by import name.
VERSIONED = {
    "PIL": "pillow",
    "gguf": "gguf",
    "matplotlib": "matplotlib",
    "numpy": "numpy",
    "polib": "polib",
    "regex": "regex",
    "scipy": "scipy",
    "seaborn": "seaborn",
    "sklearn": "scikit-learn",
    "tokenizers": "tokenizers",
    "torch": "torch",
    "transformers": "transformers",
}


@dataclass(frozen=True)
class Closure:
    """What a module and everything it imports from src/ consist of."""

    modules: dict[str, str]
    """module name, or path of a data file beside it, to digest."""
    versions: dict[str, str]
    """distribution to version, of the packages that it imports and that decide numbers."""


def _file(module: str, src: Path) -> Path | None:
    base = src.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


_memory: FileMemory | None = None


def remember_in(folder: Path) -> FileMemory:
    """Keep what was read from unchanged modules in `folder` between runs; the caller saves what is returned."""
    global _memory
    # What this file does, and how this Python writes code down, decide the digests.
    version = f"{sys.version_info.major}.{sys.version_info.minor}-{content_digest(Path(__file__))[:12]}"
    _memory = FileMemory(folder / f"code-{version}.json")
    return _memory


@lru_cache
def _parsed(module: str, src: Path) -> tuple[str, list[str]]:
    """(digest of the code, names that it imports)."""
    path = _file(module, src)
    assert path is not None
    if _memory is None:
        return _read(module, path)
    return tuple(_memory.recall(path, lambda path: _read(module, path)))


def _read(module: str, path: Path) -> tuple[str, list[str]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    parts = module.split(".")
    package = parts if path.name == "__init__.py" else parts[:-1]
    imports = {".".join(parts[:i]) for i in range(1, len(parts))}
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
    return digest(ast.unparse(tree)), sorted(imports)


def _version(distribution: str) -> str:
    """Of an installed package; a job that needs one that is not there says so itself."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


@lru_cache
def closure(module: str, src: Path = SRC) -> Closure:
    """The closure of `module`, a dotted name within `src`; data files of its packages (templates, styles) count too."""
    if _file(module, src) is None:
        raise ModuleNotFoundError(f"{module} is not a module of {src}")
    todo, modules, outside = [module], {}, set()
    while todo:
        name = todo.pop()
        if name in modules or name in NEUTRAL:
            continue
        path = _file(name, src)
        if path is None:
            outside.add(name.split(".")[0])
            continue
        modules[name], imports = _parsed(name, src)
        todo += imports
        for beside in path.parent.iterdir():
            if beside.is_file() and not LEFTOVER.fullmatch(beside.name) and beside.suffix != ".py":
                modules[beside.relative_to(src).as_posix()] = content_digest(beside)
    versions = {VERSIONED[name]: _version(VERSIONED[name]) for name in outside & VERSIONED.keys()}
    return Closure(dict(sorted(modules.items())), dict(sorted(versions.items())))
