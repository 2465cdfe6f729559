"""What a source of names and messages will be, before it is written: its rows, and what decides them.

`names` is the study's `source.names`: {"emoji": {"skin_tones": bool, "pictures": pixels or None, "font": path or None} or
None, "messages": {"folder": path, "count": int, "seed": int} or None}. Standard library only, as the Snakefile asks.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from crosslens.errors import InputError
from crosslens.sources.emoji_names import emoji_names, package_identity
from crosslens.store.digests import content_digest

DEBIAN_FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
"""Where the package fonts-noto-color-emoji puts it."""
MANIFEST = "manifest.json"
"""Of a folder of message catalogues: it has the digest of every catalogue."""


def row_count(names: Mapping[str, Any]) -> int:
    """Rows of captions.csv: the emoji, then the messages."""
    return _emoji_rows(names) + (names["messages"]["count"] if names["messages"] else 0)


def identity(
    names: Mapping[str, Any], digest: Callable[[Path], str] = content_digest
) -> dict[str, dict[str, Any] | None]:
    """What decides the rows and pictures, with no path in it.

    `digest` gives the sha256 of a file. Raises InputError if the font or the messages are not there, and for messages
    beside pictures: they have none.
    """
    emoji, messages = names["emoji"], names["messages"]
    if not emoji and not messages:
        raise InputError(
            "source.names", found="neither emoji nor messages", expected="one of them", mend="name one"
        )
    if messages and emoji and emoji["pictures"]:
        raise InputError(
            "source.names",
            found="pictures of emoji beside messages, which have none",
            expected="a study of pictures, or one of texts",
            mend="take out `messages`, or set `emoji.pictures: null`",
        )
    if emoji and emoji["pictures"] and emoji["skin_tones"]:
        raise InputError(
            "source.names.emoji",
            found="pictures of every skin tone",
            expected="one picture of an emoji: those of its tones are near-duplicates, and no units of analysis",
            mend="set `skin_tones: false`, or `pictures: null`",
        )
    return {
        "emoji": emoji
        and {
            "skin_tones": emoji["skin_tones"],
            "pictures": emoji["pictures"],
            "package": package_identity(),
            "font": digest(font_path(emoji["font"])) if emoji["pictures"] else None,
        },
        "messages": messages
        and {
            "count": messages["count"],
            "seed": messages["seed"],
            "catalogues": digest(manifest_path(messages["folder"])),
        },
    }


def block_identity(
    names: Mapping[str, Any], first: int, last: int, digest: Callable[[Path], str] = content_digest
) -> list[Any]:
    """What decides rows `first` to `last` (1-based, inclusive) alone: more messages change no block before them."""
    whole, emoji = identity(names, digest), _emoji_rows(names)
    blocks: list[Any] = []
    if first <= emoji:
        blocks.append(["emoji", whole["emoji"], first, min(last, emoji)])
    if last > emoji and (messages := whole["messages"]):
        start, stop = max(first - emoji, 1), min(last - emoji, messages["count"])
        blocks.append(["messages", messages["seed"], messages["catalogues"], start, stop])
    return blocks


def font_path(font: str | Path | None) -> Path:
    """The file of the emoji font, Debian's by default. Raises InputError if it is not there."""
    path = DEBIAN_FONT if font is None else Path(font)
    if not path.is_file():
        raise InputError(
            path,
            found="no such file",
            expected="Noto Color Emoji, to draw pictures of emoji",
            mend="`apt install fonts-noto-color-emoji`, or name the file under `emoji.font`",
        )
    return path


def manifest_path(folder: str | Path) -> Path:
    """The manifest of fetched catalogues. Raises InputError if it is not there."""
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise InputError(
            path,
            found="no such file",
            expected="the manifest of fetched message catalogues",
            mend=f"`crosslens source fetch-messages --to {folder}`",
        )
    return path


def _emoji_rows(names: Mapping[str, Any]) -> int:
    return len(emoji_names(skin_tones=names["emoji"]["skin_tones"])) if names["emoji"] else 0
