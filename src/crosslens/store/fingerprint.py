"""What code an artifact depends on: the import closure of a module within src/, without comments and docstrings."""

import ast
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from crosslens.store.digests import content_digest, digest

SRC = Path(__file__).resolve().parents[2]

# They say how a run is reported or fails, never what is computed.
NEUTRAL = {"crosslens", "crosslens.errors", "crosslens.progress"}

# What editors, systems and interpreters leave beside the code.
LEFTOVER = re.compile(r"\..*|.*~|.*\.(pyc|orig|rej|bak|tmp)|#.*#")

# Packages whose version can change numbers or pictures, by import name.
VERSIONED = {
    "PIL": "pillow",
    "matplotlib": "matplotlib",
    "numpy": "numpy",
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


@lru_cache
def _parsed(module: str, src: Path) -> tuple[str, frozenset[str]]:
    """(digest of the code, names that it imports)."""
    path = _file(module, src)
    assert path is not None
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
    return digest(ast.unparse(tree)), frozenset(imports)


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
    versions = {VERSIONED[name]: version(VERSIONED[name]) for name in outside & VERSIONED.keys()}
    return Closure(dict(sorted(modules.items())), dict(sorted(versions.items())))
