"""English and Arabic messages of translated software, as prose, from gettext catalogues (.mo)."""

import hashlib
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from crosslens.errors import InputError
from crosslens.paths import is_path
from crosslens.sources.plan import MANIFEST, manifest_path
from crosslens.store.digests import content_digest
from crosslens.tables.documents import read_json

MANIFEST_KIND = "message_catalogues"
MIN_WORDS, MAX_WORDS = 2, 40
_TRAILING_ACCELERATOR = re.compile(r"\s*\([_&]\w\)")
_ACCELERATOR = re.compile(r"(?<![A-Z])[_&](?=[^\W_])|[_&](?=[a-z])")
_WITHIN_WORD = re.compile(r"[^\W\d_]{2}[_&][^\W\d_]{2}")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_ENDING = re.compile(r"\s*(?:[:…]|\.{3,})+$")
_NOT_PROSE = re.compile(r"[%{}$\\<>|@~^=#_&*`\[\]/\n\t]|--|::|\d{4}")
_LETTER = re.compile(r"[^\W\d_]")
_ARABIC = re.compile("[\u0620-\u064a\u066e-\u06d3]")
_LATIN = re.compile("[A-Za-z]")


class Message(NamedTuple):
    """One pair."""

    image_id: str
    """`message_` and 12 hexadecimal digits of the sha256 of both texts; a message has no image."""
    en: str
    ar: str
    package: str
    """The package it is from; the first by name where several have it."""


def clean(text: str) -> str:
    """A message without keyboard accelerators (_File, &File, (&F)), invisible marks, and the ":" or "…" of a label."""
    text = _TRAILING_ACCELERATOR.sub("", _INVISIBLE.sub("", text))
    # Several, or one within a word, are underscores of an identifier: is_pair leaves those out.
    if len(_ACCELERATOR.findall(text)) == 1 and not _WITHIN_WORD.search(text):
        text = _ACCELERATOR.sub("", text)
    return re.sub(" +", " ", _ENDING.sub("", text.strip(" ")))


def is_pair(english: str, arabic: str) -> bool:
    """Whether two cleaned texts are prose of the two languages.

    Neither has a placeholder, markup, path, address, option, code, line break or number of four digits; both have 2
    to 40 words; the English has Latin and no Arabic letters, of the Arabic's letters more than half are Arabic.
    """
    if any(
        _NOT_PROSE.search(text) or not MIN_WORDS <= _words(text) <= MAX_WORDS for text in (english, arabic)
    ):
        return False
    if _ARABIC.search(english) or not _LATIN.search(english):
        return False
    return 2 * len(_ARABIC.findall(arabic)) > len(_LETTER.findall(arabic))


def _words(text: str) -> int:
    return sum(bool(_LETTER.search(word)) for word in text.split())


def read_catalogue(path: Path) -> Iterator[tuple[str, str]]:
    """(English, Arabic) of the translated messages of a .mo file, cleaned; contexts (msgctxt) are not part of a text.

    Two sorts are left out: messages with plural forms, whose Arabic counts what the English does not, and credits, which
    are translators' names. Raises InputError for what is no catalogue.
    """
    import polib

    try:
        entries = polib.mofile(str(path))
    except (OSError, ValueError, struct.error) as error:
        raise InputError(
            path,
            found=f"{error}",
            expected="a compiled gettext catalogue",
            mend="`crosslens source fetch-messages` into a new folder",
        ) from error
    for entry in entries:
        credits = "TRANSLATORS" in (entry.msgctxt or "") or entry.msgid.startswith("translator")
        if entry.msgstr and not entry.msgid_plural and not credits:
            yield clean(entry.msgid), clean(entry.msgstr)


def read_messages(folder: Path) -> list[Message]:
    """The pairs of a folder that `fetch_messages` filled, ordered by image id; no English and no Arabic text twice.

    Of several translations the one of most packages is taken, then the first in code-point order; English texts are
    the same if they are but for capitals. Raises InputError if a catalogue is not what the manifest says.
    """
    packages: dict[tuple[str, str], set[str]] = {}
    for package, path in _catalogues(Path(folder)):
        for pair in read_catalogue(path):
            if is_pair(*pair):
                packages.setdefault(pair, set()).add(package)
    found: dict[str, Message] = {}
    seen: set[str] = set()
    for english, arabic in sorted(packages, key=lambda pair: (-len(packages[pair]), pair)):
        if seen.isdisjoint({english.casefold(), arabic}):
            seen |= {english.casefold(), arabic}
            short = hashlib.sha256(f"{english}\0{arabic}".encode()).hexdigest()[:12]
            name = f"message_{short}"
            found[name] = Message(name, english, arabic, min(packages[english, arabic]))
    return [found[name] for name in sorted(found)]


def sample_messages(folder: Path, *, count: int, seed: int) -> list[Message]:
    """`count` pairs drawn by `seed`, in the order of drawing: a larger count appends. InputError if there are fewer."""
    messages = read_messages(folder)
    if not 0 < count <= len(messages):
        raise InputError(
            "source.names.messages.count",
            found=count,
            expected=f"1 to {len(messages):,}, the pairs of {folder}",
            mend="write a smaller count",
        )
    return sorted(
        messages, key=lambda message: hashlib.sha256(f"{seed}/{message.image_id}".encode()).hexdigest()
    )[:count]


def _catalogues(folder: Path) -> Iterator[tuple[str, Path]]:
    """(package, path) of every catalogue of the manifest, its digest checked."""
    manifest = manifest_path(folder)
    again = "`crosslens source fetch-messages` into a new folder"
    try:
        listed = [
            (str(package["package"]), str(entry["file"]), str(entry["sha256"]))
            for package in read_json(manifest, MANIFEST_KIND)["packages"]
            for entry in package["catalogues"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            manifest,
            found=f"a damaged file ({type(error).__name__}: {error})",
            expected="packages, each with the file and sha256 of its catalogues",
            mend=again,
        ) from error
    for package, file, sha256 in listed:
        path = folder / package / file
        found = content_digest(path) if is_path(f"{package}/{file}") and path.is_file() else "no file"
        if found != sha256:
            raise InputError(path, found=found, expected=f"the sha256 of {MANIFEST}, {sha256}", mend=again)
        yield package, path
