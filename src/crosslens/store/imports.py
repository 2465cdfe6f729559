"""Which modules a Python file imports, by its source alone.

It stands by itself: what loads a file of the user's is built on it, so that an edit here is in the keys of all activations.
"""

import ast
from pathlib import Path

SRC = Path(__file__).resolve().parents[2]
"""Where the packages of this library are."""


def module_file(module: str, folder: Path) -> Path | None:
    """Where a module, a dotted name, lies within a folder; None where it does not."""
    base = (
        f"{folder}/{module.replace('.', '/')}"  # in one piece: a thousand names are looked for at every start
    )
    return next((path for path in (Path(f"{base}.py"), Path(f"{base}/__init__.py")) if path.is_file()), None)


def imported(module: str, file: str, tree: ast.Module) -> set[str]:
    """Names that a module, which is in a file of that name, imports, itself or by lying in their packages."""
    parts = module.split(".")
    package = parts if file == "__init__.py" else parts[:-1]
    found = {".".join(parts[:i]) for i in range(1, len(parts))}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return found


def imported_beside(file: Path) -> list[Path]:
    """A Python file and those of its folder and below that it imports, itself or by others, sorted.

    Raises SyntaxError and ValueError of what is no Python.
    """
    todo, found = {file.stem}, {}
    while todo:
        name = todo.pop()
        if name not in found and (path := module_file(name, file.parent)) is not None:
            found[name] = path
            todo |= imported(name, path.name, ast.parse(path.read_bytes()))
    return sorted(found.values())
