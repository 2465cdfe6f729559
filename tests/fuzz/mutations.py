"""Inputs as disks, editors and people leave them: bytes damaged anywhere, values of another kind, keys lost or new."""

import copy
import json
import random
import struct
from collections.abc import Callable
from typing import Any

import yaml
from damage import damaged

ODD = (
    None, True, 0, -1, 1, 2**40, 10**30, 1.5, float("inf"), float("nan"), "", " ", "x", "..", "/", "é\u202e", "\0",
    "a" * 3000, [], {}, [[]], [None], {"x": 1}, {1: 2}, ["en", "en"],
)  # fmt: skip
"""Values that nobody expects."""

Mutate = Callable[[bytes, random.Random], bytes]


def retold(document: Any, chance: random.Random) -> Any:
    """A document with one to three of its values replaced, lost, doubled or under another key."""
    found = copy.deepcopy(document)
    for _ in range(chance.randint(1, 3)):
        places = list(_places(found))
        if not places:
            return chance.choice(ODD)
        holder, key = chance.choice(places)
        match chance.choice(("value", "value", "value", "lost", "new", "moved")):
            case "value":
                holder[key] = copy.deepcopy(chance.choice(ODD))
            case "lost":
                del holder[key]
            case "new" if isinstance(holder, dict):
                holder["new"] = holder[key]
            case "moved" if isinstance(holder, dict):
                holder[chance.choice((*holder, "é"))] = holder.pop(key)
    return found


def _places(document: Any):
    """Every holder and key or index in it."""
    for key in (
        document if isinstance(document, dict) else range(len(document) if isinstance(document, list) else 0)
    ):
        yield document, key
        yield from _places(document[key])


def bytes_alone(whole: bytes, chance: random.Random) -> bytes:
    """Damage."""
    return damaged(whole, chance)


def yaml_too(whole: bytes, chance: random.Random) -> bytes:
    """Half of them other documents."""
    if chance.random() < 0.5:
        return damaged(whole, chance)
    return yaml.safe_dump(retold(yaml.safe_load(whole), chance), allow_unicode=True).encode(
        "utf-8", "replace"
    )


def json_too(whole: bytes, chance: random.Random) -> bytes:
    """Half of them other documents."""
    if chance.random() < 0.5:
        return damaged(whole, chance)
    return json.dumps(retold(json.loads(whole), chance), default=str, skipkeys=True).encode()


def safetensors_too(whole: bytes, chance: random.Random) -> bytes:
    """Half of them with another header, of the length that it has."""
    if chance.random() < 0.5:
        return damaged(whole, chance)
    (length,) = struct.unpack("<Q", whole[:8])
    header = json.dumps(retold(json.loads(whole[8 : 8 + length]), chance), skipkeys=True).encode()
    return struct.pack("<Q", len(header)) + header + whole[8 + length :]


def text_too(whole: bytes, chance: random.Random) -> bytes:
    """Half of them with signs that are lost, doubled or others, or lines that change places."""
    if chance.random() < 0.5:
        return damaged(whole, chance)
    signs = list(whole.decode())
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(signs))
        match chance.choice(("other", "lost", "doubled", "line")):
            case "other":
                signs[at] = chance.choice("()[]{}:.,'\"\\#%@=+-_ \n\t0aé\0\u202e")
            case "lost" if len(signs) > 1:
                del signs[at : at + chance.randint(1, 8)]
                signs = signs or [" "]
            case "doubled":
                signs[at:at] = signs[at : at + 20]
            case "line":
                lines = "".join(signs).split("\n")
                lines.insert(chance.randrange(len(lines)), lines.pop(chance.randrange(len(lines))))
                signs = list("\n".join(lines))
    return "".join(signs).encode()


def gguf_too(whole: bytes, chance: random.Random) -> bytes:
    """Half of them damaged within the metadata, whose numbers are lengths, kinds and counts."""
    if chance.random() < 0.5:
        return damaged(whole, chance)
    at = chance.randrange(24, 24000 if len(whole) > 24000 else len(whole))
    word = chance.choice((0, 1, 255, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1, chance.randrange(2**16)))
    size = 4 if word < 2**32 and chance.random() < 0.5 else 8
    return whole[:at] + word.to_bytes(size, "little") + whole[at + size :]


def csv_too(whole: bytes, chance: random.Random) -> bytes:
    """Half of them with cells that are something else."""
    if chance.random() < 0.5:
        return damaged(whole, chance)
    rows = [line.split(",") for line in whole.decode().splitlines()]
    for _ in range(chance.randint(1, 3)):
        row = chance.choice(rows)
        match chance.choice(("cell", "cell", "lost", "doubled", "quote")):
            case "cell":
                row[chance.randrange(len(row))] = str(chance.choice(ODD))
            case "lost":
                row.pop(chance.randrange(len(row)))
                row.extend([] if row else [""])
            case "doubled":
                rows.append([*row])
            case "quote":
                row[chance.randrange(len(row))] += '"'
    return "\n".join(",".join(row) for row in rows).encode("utf-8", "replace")
