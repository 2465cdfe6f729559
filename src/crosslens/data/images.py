"""Find every sample's image, make sure that it opens fully, and quarantine by name what does not."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from crosslens.data.picture_files import SUFFIXES, find_image
from crosslens.errors import InputError, raise_all
from crosslens.pictures import UnreadablePicture, load_picture
from crosslens.progress import Progress


class ImageFile(NamedTuple):
    """An image that opens."""

    image: str
    """Path relative to the image folder, with `/`."""
    sha256: str
    """Of the file's bytes."""


class Quarantined(NamedTuple):
    """An image whose samples are dropped in every language."""

    image_id: str
    reason: str


def _check(images: Path, image_id: str) -> ImageFile | Quarantined:
    image = find_image(images, image_id)
    if image is None:
        return Quarantined(image_id, f"no file {image_id}, nor with {', '.join(SUFFIXES)}")
    try:
        data = (images / image).read_bytes()
    except OSError as error:
        return Quarantined(image_id, f"{image} cannot be read: {error.strerror}")
    try:
        load_picture(data)
    except UnreadablePicture as error:
        return Quarantined(image_id, f"{image} {error}")
    return ImageFile(image, hashlib.sha256(data).hexdigest())


def verify_images(images: Path, image_ids: Iterable[str]) -> tuple[dict[str, ImageFile], list[Quarantined]]:
    """Open every image fully: (image_id -> file, quarantine list), both in the order of `image_ids`.

    Raises InputError when the folder is missing, when two ids name one file (its samples could fall into two splits),
    or when not one image opens.
    """
    images = Path(images)
    wanted = list(dict.fromkeys(image_ids))
    if not images.is_dir():
        raise InputError(
            images, found="no such folder", expected="the folder of the images", mend="correct `images:`"
        )
    files: dict[str, ImageFile] = {}
    quarantine: list[Quarantined] = []
    owners: dict[str, str] = {}
    shared: list[InputError] = []
    progress = Progress("verify images", len(wanted), "images")
    for image_id in wanted:
        found = _check(images, image_id)
        progress.update(1)
        if isinstance(found, Quarantined):
            quarantine.append(found)
            continue
        files[image_id] = found
        owner = owners.setdefault(found.image, image_id)
        if owner != image_id:
            shared.append(
                InputError(
                    images / found.image,
                    found=f"the image ids {owner!r} and {image_id!r} for it",
                    expected="one id an image",
                    mend="write the id of an image the same way in all of its rows",
                )
            )
    raise_all(shared)
    if not files:
        shown = "; ".join(f"{image_id}: {reason}" for image_id, reason in quarantine[:3])
        raise InputError(
            images,
            found=f"not one of {len(wanted)} images that opens ({shown}{'; …' if len(quarantine) > 3 else ''})",
            expected="the images that the caption table names",
            mend="correct `images:` or the image ids; ids are tried as written, then with "
            + ", ".join(SUFFIXES),
        )
    return files, quarantine
