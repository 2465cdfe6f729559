"""Whether the code that a job has loaded is what its keys hold: these were computed when the workflow began."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from crosslens.store.code import CodeMemory
from crosslens.store.digests import content_digest
from crosslens.store.imports import SRC, module_file


def changed_code(held: Mapping[str, str], caches: Iterable[Path], src: Path = SRC) -> list[str]:
    """Names in `held` (see fingerprint.Closure.modules) whose files say something else by now.

    caches: folders that keep what was read of modules; the first is written.
    """
    memory = CodeMemory(*caches)
    changed = [name for name, sha256 in held.items() if _digest(name, src, memory) != sha256]
    memory.save()
    return changed


def _digest(name: str, src: Path, memory: CodeMemory) -> str | None:
    """As a closure has it; None of what is gone, or no Python while it is being written."""
    try:
        if name.startswith("workflow/"):
            path = src.parent / name
            return memory.read(f"workflow.scripts.{path.stem}", path).digest
        if "/" in name:
            return content_digest(src / name)
        path = module_file(name, src)
        return path and memory.read(name, path).digest
    except (OSError, SyntaxError, ValueError):
        return None
