"""Writes that a power cut cannot undo or halve, and documents that tell damage from what was written."""

import hashlib
import json
import logging
import os
import uuid
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

log = logging.getLogger(__name__)


def sync(path: Path) -> None:
    """Make a file, or the entries of a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, durably."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync(path.parent)


def replace_durably(path: Path, temporary: Path) -> None:
    """Put the finished file `temporary` in the place of `path`, all or nothing."""
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


def write_durably(path: Path, text: str) -> None:
    """Write a file of text and the folders above it, all or nothing."""
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        temporary.write_text(text, encoding="utf-8")
        replace_durably(path, temporary)
    finally:
        temporary.unlink(missing_ok=True)


def checksum(path: Path, instead: Mapping[int, bytes] = MappingProxyType({})) -> int | None:
    """CRC-32 of a file, None where there is none: it tells damage from a kill, at a twentieth of the cost of a sha256.

    instead: bytes to take in the place of those at an offset of the file's first MiB.
    """
    found = 0
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                for start, text in instead.items() if file.tell() == len(block) else ():
                    block = block[:start] + text + block[start + len(text) :]
                found = zlib.crc32(block, found)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    return found


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def write_sealed(path: Path, value: Any) -> None:
    """Write a JSON-able value with its digest, all or nothing."""
    value = json.loads(json.dumps(value))
    write_durably(path, json.dumps({"sha256": _sha256(value), "value": value}) + "\n")


def read_sealed(path: Path) -> Any:
    """What `write_sealed` wrote; None, with a line in the log, if it is not that any more; None if there is no such file."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["sha256"] == _sha256(document["value"]):
            return document["value"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    log.warning("%s is damaged and not used", path)
    return None
