"""Whether the code that a job has loaded is what its keys hold: these were computed when the workflow began."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from crosslens.store import fingerprint
from crosslens.store.digests import content_digest


def changed_code(held: Mapping[str, str], caches: Iterable[Path], src: Path = fingerprint.SRC) -> list[str]:
    """Names in `held` (see fingerprint.Closure.modules) whose files say something else by now.

    caches: folders that keep what was read of modules; the first is written.
    """
    memory = fingerprint._memory or fingerprint.remember_in(*caches)
    changed = [name for name, sha256 in held.items() if _digest(name, src) != sha256]
    memory.save()
    return changed


def _digest(name: str, src: Path) -> str | None:
    """As a closure has it; None of what is gone, or no Python while it is being written."""
    try:
        if name.startswith("workflow/"):
            path = src.parent / name
            return fingerprint._code(f"workflow.scripts.{path.stem}", path).digest
        if "/" in name:
            return content_digest(src / name)
        path = fingerprint._file.__wrapped__(name, src)
        return path and fingerprint._code(name, path).digest
    except (OSError, SyntaxError, ValueError):
        return None
