"""The store: `objects/` are named by what they contain, `actions/<key>` point at what a recipe made."""

import contextlib
import errno
import json
import logging
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crosslens.errors import InputError
from crosslens.store.digests import content_digest
from crosslens.store.durable import make_folder, sync, write_durably
from crosslens.store.lease import Lease, acquire, claim, is_gone
from crosslens.store.remove import remove

log = logging.getLogger(__name__)

DEFAULT = "results/.store"

UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EEXIST)


def _concerns(error: OSError, root: Path) -> bool:
    """True if it is the store, or a folder above it, that the error is about; a picture may be unreadable too."""
    if error.filename is None:
        return True
    place = Path(os.fsdecode(error.filename)).absolute()
    return root in (place, *place.parents) or place in root.parents


@contextmanager
def writable(root: Path) -> Iterator[None]:
    """Turn a full or unwritable disk into an error that names the store and the mend."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(
                root,
                found=f"no space left while writing {error.filename or 'an artifact'}",
                expected="room for the artifact",
                mend="free space (`crosslens store gc --dry-run` lists what no checkout uses), then run again: it resumes",
            ) from error
        if error.errno in UNWRITABLE and _concerns(error, root.absolute()):
            raise InputError(
                root,
                found=f"the store cannot be written ({error.strerror}: {error.filename})",
                expected="a folder that you may write",
                mend="set CROSSLENS_STORE to one (CROSSLENS_STORE=own:shared reads a second one without writing)",
            ) from error
        raise


def action_of(path: Path) -> Path:
    """The store's action link that a path under results/ shows, itself or a file inside a folder artifact."""
    for place in (path, *path.parents):
        if place.is_symlink():
            target = Path(os.path.normpath(place.parent.resolve() / place.readlink()))
            for above in (target, *target.parents):
                if above.parent.parent.name == "actions":
                    return above
    below = _links_below(path)
    raise InputError(
        path,
        found=f"a folder of {len(below)} links into the store" if below else "no link into the store",
        expected="an artifact under results/",
        mend=f"name one of {', '.join(below[:5])}{', …' if below[5:] else ''}"
        if below
        else "name a path that exists",
    )


def _links_below(folder: Path) -> list[str]:
    """The links in a folder and its own folders, in order; hidden ones, as the store is, left out."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in [*folders, *files] if Path(place, name).is_symlink()]
    return sorted(path.as_posix() for path in found)


def object_name(action: Path) -> str:
    """Name of the object that an action link names, there or not."""
    name = action.readlink().name
    if not re.fullmatch(r"[0-9a-f]{64}(\.\w+)?", name):
        raise InputError(
            action,
            found=f"a link to {action.readlink()}",
            expected="a link to an object of the store",
            mend="remove the link: the next run makes the artifact anew",
        )
    return name


def _leads(action: Path) -> bool:
    """True of a link to what is there; not of the copy in its place that `scp -r` and `cp -L` make of a store."""
    return action.is_symlink() and action.exists()


class Store:
    """One or more roots: the first is written, the others are only read (CROSSLENS_STORE=own[:shared…])."""

    def __init__(self, roots: str | None = None):
        named = roots or os.environ.get("CROSSLENS_STORE") or DEFAULT
        self.roots = [Path(root) for root in named.split(":")]
        for root in self.roots:
            for place in (root, *root.parents):
                if place.is_symlink() and not place.exists():
                    raise InputError(
                        root,
                        found=f"{place} is a link to {place.readlink()}, which is not there",
                        expected="the folder of a store",
                        mend="mount or make that folder, or set CROSSLENS_STORE to another",
                    )

    @property
    def own(self) -> Path:
        """The root that is written."""
        return self.roots[0]

    def action(self, key: str) -> Path:
        """Where the link of `key` is, or where it will be; a link to an object that is gone is a miss."""
        places = [root / "actions" / key[:2] / key for root in self.roots]
        return next((place for place in places if _leads(place)), places[0])

    def has(self, key: str) -> bool:
        """True if some root holds what `key` names."""
        return _leads(self.action(key))

    def object(self, key: str) -> Path:
        """The object that `key` names."""
        return self.action(key).resolve(strict=True)

    def renew(self, key: str) -> None:
        """Make the link of `key` young, so that no gc takes what it names before it is shown; not where it may not be written."""
        with contextlib.suppress(OSError):
            os.utime(self.action(key), follow_symlinks=False)

    def scratch(self, key: str) -> Path:
        """The folder of the writers of `key`, one numbered folder each (see lease.py)."""
        return self.own / "partial" / key

    def commit(self, path: Path) -> Path:
        """Move a finished file or folder into `objects/` under its digest, read-only; returns its place there."""
        with writable(self.own):
            for file in [path, *path.rglob("*")] if path.is_dir() else [path]:
                if file.is_symlink():
                    raise RuntimeError(
                        f"{file.relative_to(path.parent)} is a link: what it leads to may change"
                    )
                sync(file)
                if file.is_file():
                    file.chmod(stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)
            sha256 = content_digest(path)
            target = self.own / "objects" / sha256[:2] / f"{sha256}{path.suffix}"
            make_folder(target.parent)
            if target.exists() and content_digest(target) != sha256:
                remove(target)  # it was damaged: what was made anew takes its place
            if target.exists():
                os.utime(target)  # young again: no gc takes it before it is published
            else:
                try:
                    path.rename(target)
                except OSError as error:
                    # A folder of the same name with the same content was put there this very moment.
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise
            remove(path)
            sync(target.parent)
        return target

    def publish(self, key: str, target: Path, record: dict[str, Any] | None = None) -> None:
        """Point `key` at an object; the first writer wins. `record` is kept beside as `<key>.json`, durable before it."""
        if self.has(key):
            return
        action = self.own / "actions" / key[:2] / key
        with writable(self.own):
            if record is not None:
                text = json.dumps(record, ensure_ascii=False, indent=1, default=str) + "\n"
                write_durably(action.with_suffix(".json"), text)
            make_folder(action.parent)
            if os.path.lexists(action) and not _leads(action):
                remove(action)  # its object was removed, or it is a copy in the place of the link
            try:
                action.symlink_to(os.path.relpath(target.resolve(), action.parent.resolve()))
            except FileExistsError:
                log.info("%s was published by another writer meanwhile", key[:12])
            sync(action.parent)

    @contextmanager
    def workspace(self, key: str) -> Iterator[Lease]:
        """The lease on a folder to make `key` in, that survives a kill and is removed after success."""
        scratch = self.scratch(key)
        with writable(self.own):
            lease = acquire(scratch)
        try:
            yield lease
        except BaseException:
            lease.release()
            raise
        lease.clear()
        for left in filter(is_gone, list(scratch.iterdir()) if scratch.exists() else ()):
            if abandoned := claim(left):
                abandoned.clear()
        with contextlib.suppress(OSError):
            scratch.rmdir()  # not while another writer is at work on the same artifact
