"""What a module's source says, without comments and docstrings, and the memory of it between runs."""

import ast
import hashlib
import sys
from pathlib import Path
from typing import NamedTuple

from crosslens.store import imports
from crosslens.store.digests import Memory, content_digest, digest


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

    def __init__(self, *folders: Path):
        """Kept in the first of the folders; the others are only read."""
        # What these files do, and how this Python writes code down, decide the digests.
        readers = digest([content_digest(Path(file)) for file in (__file__, imports.__file__)])
        version = f"{sys.version_info.major}.{sys.version_info.minor}-{readers[:12]}"
        super().__init__(*(folder / f"code-{version}.json" for folder in folders))
        self._met: set[str] = set()

    def read(self, module: str, path: Path) -> Code:
        """The code of a module, a dotted name, that is in that file."""
        source = path.read_bytes()
        place = hashlib.sha256(f"{module} {path.name} ".encode() + source).hexdigest()
        if place not in self.known:
            self.known[place], self.changed = _parse(module, path.name, source), True
        self._met.add(place)
        return Code(*self.known[place])

    def save(self) -> None:
        """As Memory."""
        if len(self.known) > self.limit:
            self.known = {place: self.known[place] for place in self._met}
        super().save()


_memory: CodeMemory | None = None


def remember_in(*folders: Path) -> CodeMemory:
    """Keep what `read_code` reads between runs; the caller saves what is returned, to the first of the folders."""
    global _memory
    _memory = CodeMemory(*folders)
    return _memory


def read_code(module: str, path: Path) -> Code:
    """The code of a module, a dotted name, that is in that file, from memory where there is one."""
    if _memory is None:
        return _parse(module, path.name, path.read_bytes())
    return _memory.read(module, path)


def _parse(module: str, file: str, source: bytes) -> Code:
    tree = ast.parse(source)
    names, opens = imports.imported(module, file, tree), _opened(module, tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            # A docstring, and the strings under a dataclass's fields, are words: they change nothing.
            kept = [
                statement
                for statement in node.body
                if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
            ]
            node.body = kept or [ast.Pass()]
    return Code(digest(ast.unparse(tree)), sorted(names), sorted(opens))


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
