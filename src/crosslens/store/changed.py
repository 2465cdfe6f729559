"""Whether the code that a job has loaded, and the packages where it runs, are what its keys hold: these were computed when
the workflow began, and where that runs."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from crosslens.errors import InputError
from crosslens.store.checkout import checkout
from crosslens.store.code import CodeMemory
from crosslens.store.digests import content_digest
from crosslens.store.fingerprint import installed_version
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
            path = checkout(src) / name
            return memory.read(f"workflow.scripts.{path.stem}", path).digest
        if "/" in name:
            return content_digest(src / name)
        path = module_file(name, src)
        return path and memory.read(name, path).digest
    except (OSError, SyntaxError, ValueError):
        return None


def versions_of(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Distribution to version, of the packages that the code of an artifact imports, and an adapter of its model does."""
    params = recipe.get("params")
    model = params.get("model") if isinstance(params, dict) else None
    return recipe.get("versions", {}) | (model.get("packages", {}) if isinstance(model, dict) else {})


def check_versions(held: Mapping[str, str]) -> None:
    """Raise InputError where packages of other versions are installed here, with the commands that make them equal.

    One that is not installed passes: a job that needs it says so itself.
    """
    here = {name: installed_version(name) for name in held}
    others = {name: told for name, told in here.items() if told and told != held[name]}
    if not others:
        return
    absent = [name for name in others if held[name] == "not installed"]
    wanted = " ".join(f"{name}=={held[name]}" for name in others if name not in absent)
    commands = [f"`{sys.executable} -m pip install {wanted}`"] if wanted else []
    if absent:
        missing = " ".join(f"{name}=={others[name]}" for name in absent)
        commands.append(f"`pip install {missing}` where snakemake runs")
    raise InputError(
        ", ".join(others),
        found=f"version {', '.join(others.values())} where this job runs",
        expected=f"{', '.join(held[name] for name in others)}, as where snakemake runs: keys hold that; nothing was stored",
        mend=f"{' and '.join(commands)}; or run snakemake again, if something was installed meanwhile",
    )
