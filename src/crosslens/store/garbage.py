"""Garbage collection: what no registered checkout reaches, and work that its writer abandoned."""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from crosslens.errors import InputError
from crosslens.store.checkouts import registered, used
from crosslens.store.lease import abandoned
from crosslens.store.remove import remove
from crosslens.store.store import Store, object_name, writable


@dataclass
class Garbage:
    """What gc found."""

    root: Path
    grace_seconds: float
    places: list[Path] = field(default_factory=list)
    """Actions, records, objects and abandoned work that nothing reaches; links before objects."""
    forgotten: list[Path] = field(default_factory=list)
    """Registrations of checkouts that are gone for good."""
    bytes: int = 0
    """Their size."""
    unreadable: list[str] = field(default_factory=list)
    """A line for each registered checkout that cannot be read: while there is one, no artifact is garbage."""


def _size(path: Path) -> int:
    files = [path] if path.is_symlink() or path.is_file() else path.rglob("*")
    return sum(file.lstat().st_size for file in files if not file.is_dir())


def find_garbage(
    store: Store, *, grace_seconds: float = 86400.0, forget_older_seconds: float | None = None
) -> Garbage:
    """What no link of a registered checkout reaches, and work that its writer abandoned.

    Anything younger than `grace_seconds` is kept: a running workflow publishes before it links. A checkout that cannot be
    read, and in which no workflow has begun for `forget_older_seconds`, is taken for gone.
    """
    root, now, kept = store.own, time.time(), set()
    garbage = Garbage(root, grace_seconds)
    # First, as it may look for a minute: a checkout that begins meanwhile is among the registered.
    left = abandoned(_writers(root))
    for checkout in registered(root):
        try:
            kept |= used(checkout, root)
        except (OSError, InputError) as error:
            if forget_older_seconds is not None and checkout.age >= forget_older_seconds:
                garbage.forgotten.append(checkout.entry)
                continue
            why = error.strerror if isinstance(error, OSError) and error.strerror else error
            garbage.unreadable.append(
                f"{checkout.results}: a registered checkout that cannot be read ({why}), so all artifacts are kept; "
                f"to mend: bring it back, or `crosslens store unregister {checkout.results}`"
            )

    def collect(place: Path) -> None:
        with contextlib.suppress(FileNotFoundError):  # taken over or removed by another this very moment
            if now - place.lstat().st_mtime >= grace_seconds:
                size = _size(place)
                garbage.places.append(place)
                garbage.bytes += size

    for writer in filter(os.path.lexists, left):
        collect(writer)
    if garbage.unreadable:
        return garbage
    kept |= _young(root, grace_seconds)
    for action in root.glob("actions/*/*"):
        if action.is_symlink() and object_name(action) not in kept:
            collect(action)
            if action.with_suffix(".json").exists():
                collect(action.with_suffix(".json"))
    for target in root.glob("objects/*/*"):
        if target.name not in kept:
            collect(target)
    for seal in root.glob("seals/*/*"):
        if not any((place / "objects" / seal.parent.name / seal.name).exists() for place in store.roots):
            collect(seal)
    return garbage


def _writers(root: Path) -> Iterator[Path]:
    """The folders of writers, while some end and remove theirs."""
    for key in list((root / "partial").iterdir()) if (root / "partial").is_dir() else ():
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            yield from list(key.iterdir())


def _young(root: Path, grace_seconds: float) -> set[str]:
    """Names of the objects that an action points at which was made within the time of grace."""
    links = [action for action in root.glob("actions/*/*") if action.is_symlink()]
    return {object_name(link) for link in links if time.time() - link.lstat().st_mtime < grace_seconds}


def collect_garbage(garbage: Garbage) -> None:
    """Remove what find_garbage found and nobody touched or linked since: links before objects, so that none dangles after a kill.

    Raises InputError where a checkout can no longer be read; nothing is removed then.
    """
    root = garbage.root
    with writable(root):
        for entry in garbage.forgotten:
            entry.unlink(missing_ok=True)
        young, linked = _young(root, garbage.grace_seconds), set()
        for checkout in registered(root) if not garbage.unreadable else ():
            try:
                linked |= used(checkout, root)
            except OSError as error:
                raise InputError(
                    checkout.results,
                    found=f"a registered checkout that cannot be read any more ({error})",
                    expected="what could be read a moment ago; nothing was removed",
                    mend="run gc again",
                ) from error
        for place in garbage.places:
            if place.name in young or _object_of(place) in linked or _is_record_of_what_stands(place):
                continue
            with contextlib.suppress(FileNotFoundError):
                if time.time() - place.lstat().st_mtime >= garbage.grace_seconds:
                    discard(place, garbage.root)


def _object_of(place: Path) -> str:
    """Name of the object that an action points at; of anything else its own."""
    return object_name(place) if place.is_symlink() else place.name


def _is_record_of_what_stands(place: Path) -> bool:
    """True of the record of an action that is there, as one does that became young since gc looked."""
    return place.suffix == ".json" and place.with_suffix("").is_symlink()


def discard(place: Path, root: Path) -> None:
    """Remove what lies in the store; InputError where a link leads out of it."""
    if not place.parent.resolve().is_relative_to(root.resolve()):
        raise InputError(
            place,
            found=f"a place in {place.parent.resolve()}",
            expected=f"one in {root}",
            mend="remove it there by hand: the store follows no link that leads out of it",
        )
    remove(place)
