"""Which file of a picture folder an image id names. Standard library only: the Snakefile asks for the keys of samples."""

import unicodedata
from collections.abc import Iterator
from pathlib import Path

from crosslens.paths import is_path

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def candidates(image_id: str) -> Iterator[str]:
    """The names under which the picture of `image_id` is looked for, in order: as written, else with a suffix.

    Suffixes are tried in small letters and in capitals (cameras), then all of it with letters and their marks as one
    character each and apart (file systems and archives write either).
    """
    forms = dict.fromkeys((image_id, *(unicodedata.normalize(form, image_id) for form in ("NFC", "NFD"))))
    suffixes = ("", *SUFFIXES, *map(str.upper, SUFFIXES))
    return filter(is_path, (form + suffix for form in forms for suffix in suffixes))


def find_image(images: Path, image_id: str) -> str | None:
    """The first of the candidates that is a file in `images`; None if none is there."""
    return next((name for name in candidates(image_id) if (images / name).is_file()), None)
