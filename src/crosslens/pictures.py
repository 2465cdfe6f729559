"""A picture file as the models' own processors see it: the one loader of all that read pictures."""

import io
import re

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

MAX_ASPECT = 200
"""Longer side to shorter side: Qwen2-VL refuses more, and towers that scale the shorter side take gigabytes for it."""
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""By the EXIF orientation that a camera wrote."""
_BITS, _PHOTOMETRIC, _BLACK_IS_ZERO = 258, 262, 1
"""Tags of TIFF."""


class UnreadablePicture(ValueError):
    """Bytes that are no picture that every model can be shown; says why, in words that follow the file's name."""


def load_picture(data: bytes) -> Image.Image:
    """The picture in a file's bytes: RGB, 8 bits a channel, upright; of several frames or pages the first.

    What is transparent is laid on white, as `transformers.image_transforms.convert_to_rgb` does; other modes (palette,
    CMYK, …) are Pillow's `convert("RGB")`, as there. Greys of 16 bits keep their upper 8, as colours of 16 bits do in
    Pillow, where `convert` would cut all above 255 to white. An EXIF that cannot be read turns nothing. Raises
    UnreadablePicture of anything that does not decode to its end or has no such form.
    """
    try:
        with Image.open(io.BytesIO(data)) as opened:
            opened.load()
            _check_shape(opened)
            picture = _as_rgb(opened)
            turn = _UPRIGHT.get(_orientation(opened))
            return picture if turn is None else picture.transpose(turn)
    except UnreadablePicture:
        raise
    except UnidentifiedImageError as error:
        raise UnreadablePicture(f"is not an image ({len(data)} bytes)") from error
    except Image.DecompressionBombError as error:
        most = 2 * Image.MAX_IMAGE_PIXELS
        raise UnreadablePicture(f"has more than {most:,} pixels: save it smaller") from error
    except Exception as error:  # decoders of broken files raise nearly anything
        # Memory addresses in a message would make the summary differ from run to run.
        message = re.sub(r" at 0x[0-9a-fA-F]+", "", f"{type(error).__name__}: {error}")
        raise UnreadablePicture(f"does not open fully: {message}") from error


def _check_shape(opened: Image.Image) -> None:
    short, long = sorted(opened.size)
    if long > MAX_ASPECT * short:
        raise UnreadablePicture(
            f"is {opened.width} x {opened.height} pixels, one side more than {MAX_ASPECT} times the other: crop it"
        )


def _as_rgb(opened: Image.Image) -> Image.Image:
    if opened.mode.startswith(("I", "F")):
        return _deep_greys(opened).convert("RGB")
    if "A" not in opened.getbands() and opened.info.get("transparency") is None:
        return opened.convert("RGB")
    shown = opened.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown).convert("RGB")


def _deep_greys(opened: Image.Image) -> Image.Image:
    """Greys of 16 bits as mode L; of others the file does not say which value is white."""
    tags = getattr(opened, "tag_v2", {_BITS: (16,), _PHOTOMETRIC: _BLACK_IS_ZERO})
    as_written = (tags.get(_BITS), tags.get(_PHOTOMETRIC)) == ((16,), _BLACK_IS_ZERO)
    # Pillow scales PGM to 16 bits, whatever its maximum is.
    deep = opened.mode.startswith("I;16") or (opened.mode == "I" and opened.format == "PPM")
    if not (deep and as_written):
        raise UnreadablePicture(
            f"has grey levels of a kind that says nothing of its white (Pillow's mode {opened.mode}): "
            "save it with 8 or 16 bits a pixel, black as 0"
        )
    levels = np.asarray(opened).astype(np.uint16)
    grey = (levels >> 8).astype(np.uint8)
    if (hidden := opened.info.get("transparency")) is not None:
        grey[levels == hidden] = 255
    return Image.fromarray(grey)


def _orientation(opened: Image.Image) -> int | None:
    try:
        found = opened.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # so do readers of broken EXIF
        return None
    return found if isinstance(found, int) else None
