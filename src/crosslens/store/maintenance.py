"""Care for single artifacts of a store: verify their bytes, explain and forget them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crosslens.errors import InputError
from crosslens.store.digests import content_digest
from crosslens.store.garbage import discard
from crosslens.store.store import Store, action_of, object_name, writable


def record_of(action: Path) -> dict[str, Any]:
    """What is known of how an artifact was made; empty if nothing was kept. Raises InputError if it is damaged."""
    file = action.with_suffix(".json")
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        recipe = record["recipe"]
        texts = [*(recipe[name] for name in ("kind", "path", "key", "own")), *recipe["shown"]]
        if recipe["shown"] and all(
            isinstance(text, str) for text in [*texts, record.get("same_as", ""), record.get("object", "")]
        ):
            return record
    except FileNotFoundError:
        return {}
    except (ValueError, LookupError, TypeError, AttributeError):
        pass
    raise InputError(
        file,
        found="a damaged record",
        expected="JSON with a recipe",
        mend=f"remove {file}: it decides nothing",
    )


def _actions(root: Path) -> Iterator[Path]:
    return (path for path in sorted(root.glob("actions/*/*")) if path.is_symlink())


def _copies(root: Path) -> list[Path]:
    """What stands in the place of actions: files and folders."""
    places = sorted(root.glob("actions/*/[!.]*"))
    return [place for place in places if not place.is_symlink() and place.suffix != ".json"]


def _action_of(path: Path) -> Path:
    """The action that an artifact's link names; InputError where the store has it no more."""
    action = action_of(path)
    if not action.is_symlink():
        raise InputError(
            path,
            found="a link to what the store has no more",
            expected="an artifact",
            mend=f"`snakemake {path}` makes it anew",
        )
    return action


def verify(store: Store) -> list[str]:
    """A line for all that is not as it was written; [] if sound.

    That is every object whose bytes are not what its name says or that is gone while an action points at it, told with the
    artifacts that it is, every damaged action and record, and every action whose record is gone.
    """
    return [fault for root in store.roots for fault in _faults(root)]


def _faults(root: Path) -> Iterator[str]:
    shown: dict[str, dict[str, str]] = {}
    gone: set[str] = set()
    for action in _actions(root):
        try:
            name = object_name(action)
            paths = shown.setdefault(name, {})
            if not action.exists():
                gone.add(name)
            if not (record := record_of(action)):
                yield (
                    f"{action}: its record {action.name}.json is gone, and with it how the artifact was made; "
                    "to mend: remove the link: the next run makes it anew"
                )
                continue
            recipe = record["recipe"]
            paths[recipe["path"]] = recipe["shown"][0]
            if record.get("object", name) != name:
                yield (
                    f"{recipe['path']}: {action} leads to {name[:12]}, and its record is of {record['object'][:12]}; to mend: "
                    f"`crosslens store forget {recipe['shown'][0]}`, then `snakemake {recipe['shown'][0]}`"
                )
        except InputError as error:
            yield str(error)
    if copies := _copies(root):
        yield (
            f"{root / 'actions'}: {len(copies)} copies in the place of links, {copies[0].name[:12]} among them, which are not "
            "used: the store was copied with its links followed; to mend: copy it again with `cp -a` or `rsync -a`"
        )

    def told(name: str, fault: str) -> str:
        paths = shown.get(name) or {"no known artifact": "PATH"}
        path = min(paths.values())
        return f"{', '.join(sorted(paths))}: {fault}; to mend: `crosslens store forget {path}`, then `snakemake {path}`"

    for name in sorted(gone):
        yield told(name, f"object {name} is gone")
    for target in sorted(root.glob("objects/*/*")):
        try:
            found = content_digest(target)
        except OSError as error:
            yield told(target.name, f"{target} cannot be read ({error.strerror})")
        else:
            if found != target.name.split(".")[0]:
                yield told(target.name, f"{target} has digest {found[:12]}…")


def explain(path: Path) -> dict[str, Any]:
    """How the artifact at `path` was made: recipe (code modules, parameters), inputs and their digests, when and where."""
    action = _action_of(path)
    record = record_of(action)
    made, seen = record, {action.name}
    while (key := made.get("same_as")) and key not in seen:
        seen.add(key)
        made = record_of(action.parent.parent / key[:2] / key)
        record = {**made, **record}
    return {"artifact": path.as_posix(), "key": action.name} | record | {"object": object_name(action)}


def forget(path: Path, store: Store) -> list[Path]:
    """Remove the artifact at `path` from the first root, so that `snakemake PATH` makes it anew; returns what was removed.

    The object goes with every action that points at it. In a read-only root nothing can be forgotten.
    """
    action = _action_of(path)
    root = action.parent.parent.parent
    if root.resolve() != store.own.resolve():
        raise InputError(
            path,
            found=f"an artifact of {root}",
            expected=f"one of {store.own}",
            mend="forget it where it was made",
        )
    name = object_name(action)
    removed = [link for link in _actions(root) if link.readlink().name == name]
    removed += [link.with_suffix(".json") for link in removed if link.with_suffix(".json").exists()]
    removed += [root / "objects" / name[:2] / name]
    with writable(store.own):
        for place in removed:
            discard(place, root)
    return removed
