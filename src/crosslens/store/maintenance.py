"""Care for a store: verify its bytes, explain, forget and collect artifacts."""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crosslens.errors import InputError
from crosslens.store.digests import content_digest, digest
from crosslens.store.lease import is_stale, remove
from crosslens.store.store import Store


def action_of(path: Path) -> Path:
    """The store's action link that a path under results/ shows, itself or a file inside a folder artifact."""
    for place in (path, *path.parents):
        if place.is_symlink():
            target = Path(os.path.normpath(place.parent / place.readlink()))
            for above in (target, *target.parents):
                if above.parent.parent.name == "actions":
                    return above
    raise InputError(
        path,
        found="no link into the store",
        expected="an artifact under results/",
        mend="name a path that exists",
    )


def record_of(action: Path) -> dict[str, Any]:
    """What is known of how an artifact was made; empty if nothing was kept."""
    try:
        return json.loads(action.with_suffix(".json").read_text())
    except FileNotFoundError:
        return {}


def _actions(root: Path) -> Iterator[Path]:
    return (path for path in root.glob("actions/*/*") if path.is_symlink())


def _object_name(action: Path) -> str:
    return action.readlink().name


def verify(store: Store) -> list[str]:
    """One line for every object whose bytes are not what its name says, naming the artifacts that it is; [] if sound."""
    faults = []
    for root in store.roots:
        shown: dict[str, dict[str, str]] = {}
        for action in _actions(root):
            recipe = record_of(action).get("recipe")
            if recipe:
                shown.setdefault(_object_name(action), {})[recipe["path"]] = recipe.get(
                    "shown", [recipe["path"]]
                )[0]
        for target in sorted(root.glob("objects/*/*")):
            found = content_digest(target)
            if found != target.name.split(".")[0]:
                paths = shown.get(target.name, {"no known artifact": "PATH"})
                names, path = ", ".join(sorted(paths)), min(paths.values())
                mend = f"`crosslens store forget {path}`, then `snakemake {path}`"
                faults.append(f"{names}: {target} has digest {found[:12]}…; to mend: {mend}")
    return faults


def explain(path: Path) -> dict[str, Any]:
    """How the artifact at `path` was made: recipe (code modules, parameters), inputs and their digests, when and where."""
    action = action_of(path)
    record = record_of(action)
    if "same_as" in record:
        made = action.parent.parent / record["same_as"][:2] / record["same_as"]
        record = {**record_of(made), **record}
    return {"artifact": path.as_posix(), "key": action.name, "object": _object_name(action), **record}


def forget(path: Path, store: Store) -> list[Path]:
    """Remove the artifact at `path` from the first root, so that `snakemake PATH` makes it anew; returns what was removed.

    The object goes with every action that points at it. In a read-only root nothing can be forgotten.
    """
    action = action_of(path)
    root = action.parent.parent.parent
    if root.resolve() != store.own.resolve():
        raise InputError(
            path,
            found=f"an artifact of {root}",
            expected=f"one of {store.own}",
            mend="forget it where it was made",
        )
    name = _object_name(action)
    removed = [link for link in _actions(root) if _object_name(link) == name]
    removed += [link.with_suffix(".json") for link in removed if link.with_suffix(".json").exists()]
    removed += [root / "objects" / name[:2] / name]
    for place in removed:
        remove(place)
    return removed


def register_checkout(store: Store, results: Path = Path("results")) -> None:
    """Note in every root that may be written that this checkout links to it, so that gc keeps what it uses."""
    place = str(results.resolve())
    for root in store.roots:
        entry = root / "checkouts" / digest(place)[:16]
        with contextlib.suppress(OSError):
            if not entry.exists():
                entry.parent.mkdir(parents=True, exist_ok=True)
                entry.write_text(place + "\n")


@dataclass
class Garbage:
    """What gc found."""

    places: list[Path] = field(default_factory=list)
    """Actions, records, objects and abandoned work that nothing reaches."""
    bytes: int = 0
    """Their size."""


def _links(results: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(results):
        folders[:] = [name for name in folders if name != ".store"]
        for name in [*folders, *files]:
            if (path := Path(folder) / name).is_symlink():
                yield path


def _size(path: Path) -> int:
    files = [path] if path.is_symlink() or path.is_file() else path.rglob("*")
    return sum(file.lstat().st_size for file in files if not file.is_dir())


def find_garbage(store: Store, *, grace_seconds: float = 86400.0) -> Garbage:
    """What no link of a registered checkout reaches, and work that its writer abandoned.

    Anything younger than `grace_seconds` is kept: a running workflow publishes before it links.
    """
    root, now = store.own, time.time()
    kept = set()
    for entry in root.glob("checkouts/*"):
        results = Path(entry.read_text().strip())
        for link in _links(results):
            try:
                kept.add(_object_name(action_of(link)))
            except (InputError, OSError):
                continue
    garbage = Garbage()

    def collect(place: Path) -> None:
        if now - place.lstat().st_mtime >= grace_seconds:
            garbage.places.append(place)
            garbage.bytes += _size(place)

    for action in _actions(root):
        if _object_name(action) not in kept:
            collect(action)
            if action.with_suffix(".json").exists():
                collect(action.with_suffix(".json"))
    for target in root.glob("objects/*/*"):
        if target.name not in kept:
            collect(target)
    for seal in root.glob("seals/*/*"):
        if not any((place / "objects" / seal.parent.name / seal.name).exists() for place in store.roots):
            collect(seal)
    for writer in root.glob("partial/*/*"):
        if not (writer / "lease.json").exists() or is_stale(writer / "lease.json"):
            collect(writer)
    return garbage


def collect_garbage(garbage: Garbage) -> None:
    """Remove what find_garbage found: links before objects, so that no link ever dangles after a kill."""
    for place in garbage.places:
        remove(place)
