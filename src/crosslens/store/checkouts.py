"""The checkouts that link into a store: gc keeps what they use, and everything while one of them cannot be read."""

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from crosslens.errors import InputError
from crosslens.store.digests import digest
from crosslens.store.durable import read_sealed, write_sealed
from crosslens.store.store import Store, action_of, object_name, writable

log = logging.getLogger(__name__)


class Checkout(NamedTuple):
    """One registration."""

    entry: Path
    """Its file in the store."""
    results: str
    """The folder whose links lead into the store, absolute; the entry itself where that cannot be read."""
    inode: int | None
    """Of that folder: an empty mount point is another one."""

    @property
    def age(self) -> float:
        """Seconds since a workflow last began there."""
        return time.time() - self.entry.stat().st_mtime


def _entry(root: Path, place: str) -> Path:
    return root / "checkouts" / digest(place)[:16]


def register_checkout(store: Store, results: Path = Path("results")) -> None:
    """Note in every root that this checkout links to it. Raises InputError where the first root cannot take it.

    Another root that cannot be written is told in the log: its own gc will not know of this checkout.
    """
    if results.is_symlink() and not results.exists():
        raise InputError(
            results,
            found=f"a link to {results.readlink()}, which is not there",
            expected="a folder, or a link to one",
            mend="mount or make that folder, or remove the link",
        )
    with writable(store.own):
        results.mkdir(parents=True, exist_ok=True)
        _register(store.own, results)
    for root in store.roots[1:]:
        try:
            _register(root, results)
        except OSError as error:
            log.warning(
                "%s takes no note of this checkout (%s): its owner's `crosslens store gc` may remove what is used here",
                root,
                error.strerror,
            )


def _register(root: Path, results: Path) -> None:
    place = str(results.resolve())
    entry, value = _entry(root, place), {"results": place, "inode": results.stat().st_ino}
    if read_sealed(entry) == value:
        os.utime(entry)
    else:
        write_sealed(entry, value)


def registered(root: Path) -> Iterator[Checkout]:
    """All registrations in a root."""
    for entry in sorted(root.glob("checkouts/*")):
        value = read_sealed(entry)
        if isinstance(value, dict):
            yield Checkout(entry, value.get("results", str(entry)), value.get("inode"))
        else:
            yield Checkout(entry, str(entry), None)


def unregister(store: Store, place: Path) -> Path:
    """Forget that the `results` folder `place` (or the one of the entry `place`) links to the store; returns the entry."""
    for checkout in registered(store.own):
        if place.absolute() in (Path(checkout.results), checkout.entry.absolute()):
            with writable(store.own):
                checkout.entry.unlink()
            return checkout.entry
    known = ", ".join(checkout.results for checkout in registered(store.own)) or "none"
    raise InputError(
        place, found="no registered checkout", expected=f"one of: {known}", mend="name one of them"
    )


def used(checkout: Checkout, root: Path) -> set[str]:
    """Names of the objects that links of the checkout reach. OSError where it cannot be told for sure."""
    results = Path(checkout.results)
    if checkout.inode is None:
        raise OSError("the registration is damaged")
    if results.stat().st_ino != checkout.inode:
        raise OSError("another folder is in its place")
    links = _links(results, {os.path.realpath(root)})  # but for the store itself, which may lie there
    return {name for link in links for name in _reached(link, root)}


def _links(folder: Path, seen: set[str]) -> Iterator[Path]:
    """The links in a folder, those to folders followed. OSError where a folder cannot be read."""
    real = os.path.realpath(folder)
    if real in seen:
        return
    seen.add(real)
    with os.scandir(folder) as entries:
        for entry in entries:
            path = Path(entry.path)
            if entry.is_symlink():
                yield path
            if entry.is_dir() and entry.name != ".store" and not _is_artifact(path):
                yield from _links(path, seen)


def _is_artifact(path: Path) -> bool:
    return path.is_symlink() and _action(path) is not None


def _action(link: Path) -> Path | None:
    try:
        return action_of(link)
    except InputError:
        return None


def _reached(link: Path, root: Path) -> Iterator[str]:
    """What a link reaches by way of this root's actions, or of another's that leads here."""
    action = _action(link)
    if action is None:
        if not link.exists():
            raise OSError(f"{link} is a link to {link.readlink()}, which is not there")
        return
    for place in {action, root / "actions" / action.name[:2] / action.name}:
        if place.is_symlink():
            yield object_name(place)
        elif not place.parents[2].is_dir():
            raise OSError(f"{link} is a link into {place.parents[2]}, which is not there")
