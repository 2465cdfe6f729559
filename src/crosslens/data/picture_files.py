"""Which file of a picture folder an image id names. Standard library only: the Snakefile asks for the keys of samples."""

from collections.abc import Iterator
from pathlib import Path

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def candidates(image_id: str) -> Iterator[str]:
    """The names under which the picture of `image_id` is looked for, in order: as written, else with a suffix."""
    return (image_id + suffix for suffix in ("", *SUFFIXES))


def find_image(images: Path, image_id: str) -> str | None:
    """The first of the candidates that is a file in `images`; None if none is there."""
    return next((name for name in candidates(image_id) if (images / name).is_file()), None)
