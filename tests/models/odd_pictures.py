"""Picture files as cameras, browsers, scanners and broken disks leave them."""

import io
import struct
import zlib

import numpy as np
from PIL import ExifTags, Image

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (24, 40, 3), dtype=np.uint8)
GREYS = RNG.integers(0, 256, (24, 40), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (24, 40), dtype=np.uint16)
ALPHA = RNG.integers(0, 256, (24, 40, 1), dtype=np.uint8)
JPEG_EXIF = b"Exif\0\0"


def saved(picture: Image.Image, format: str = "PNG", **options) -> bytes:
    """The picture as the bytes of a file."""
    out = io.BytesIO()
    picture.save(out, format, **options)
    return out.getvalue()


def colours(height: int, width: int) -> Image.Image:
    """Noise of that size."""
    return Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8))


def turned(orientation: int) -> Image.Exif:
    """An EXIF of one tag."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


def png(width: int, height: int, kind: int, bits: int, data: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG by the letter of its standard, for what Pillow does not write."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def rows(levels: np.ndarray) -> bytes:
    """16-bit levels (H, W) as a PNG's unfiltered lines."""
    return b"".join(b"\0" + line.astype(">u2").tobytes() for line in levels)


def palette() -> Image.Image:
    """Sixteen colours."""
    return Image.fromarray(COLOURS).quantize(16, dither=Image.Dither.NONE)


def frames(format: str) -> bytes:
    """Three pictures in one file."""
    first, *others = (Image.fromarray(np.roll(COLOURS, i * 7, axis=1)) for i in range(3))
    return saved(first, format, save_all=True, append_images=others, lossless=True)


GOOD = Image.fromarray(COLOURS)
AS_THE_PROCESSOR = {
    "rgb.png": saved(GOOD),
    "rgb.jpg": saved(GOOD, "JPEG"),
    "rgb.webp": saved(GOOD, "WEBP", lossless=True),
    "rgb.bmp": saved(GOOD, "BMP"),
    "rgb.tif": saved(GOOD, "TIFF"),
    "jpeg inside.png": saved(GOOD, "JPEG"),
    "grey.png": saved(Image.fromarray(GREYS)),
    "grey.jpg": saved(Image.fromarray(GREYS), "JPEG"),
    "bits.png": saved(Image.fromarray(GREYS > 127)),
    "progressive.jpg": saved(GOOD, "JPEG", progressive=True),
    "cmyk.jpg": saved(GOOD.convert("CMYK"), "JPEG"),
    "cmyk.tif": saved(GOOD.convert("CMYK"), "TIFF"),
    "lab.tif": saved(Image.frombytes("LAB", (40, 24), COLOURS.tobytes()), "TIFF"),
    "rgba.png": saved(Image.fromarray(np.concatenate([COLOURS, ALPHA], 2))),
    "rgba.webp": saved(Image.fromarray(np.concatenate([COLOURS, ALPHA], 2)), "WEBP", lossless=True),
    "rgba.tif": saved(Image.fromarray(np.concatenate([COLOURS, ALPHA], 2)), "TIFF"),
    "hidden.png": saved(Image.fromarray(np.concatenate([COLOURS, 0 * ALPHA], 2))),
    "grey alpha.png": saved(Image.fromarray(np.concatenate([GREYS[:, :, None], ALPHA], 2))),
    "palette.png": saved(palette()),
    "palette.gif": saved(palette(), "GIF"),
    "palette, one colour hidden.png": saved(palette(), transparency=3),
    "palette, one colour hidden.gif": saved(palette(), "GIF", transparency=3),
    "palette of alphas.png": saved(palette(), transparency=bytes(range(0, 256, 16))),
    "rgb, one colour hidden.png": saved(GOOD, transparency=tuple(map(int, COLOURS[0, 0]))),
    "grey, one level hidden.png": saved(Image.fromarray(GREYS), transparency=int(GREYS[0, 0])),
    "animated.gif": frames("GIF"),
    "animated.png": frames("PNG"),
    "animated.webp": frames("WEBP"),
    "pages.tif": frames("TIFF"),
    "several.mpo": frames("MPO"),
    "icc.png": saved(GOOD, icc_profile=b"no profile at all"),
    "rgb of 16 bits.png": png(40, 24, 2, 16, b"".join(b"\0" + DEEP[i].tobytes() * 3 for i in range(24))),
    **{f"turned {i}.jpg": saved(GOOD, "JPEG", exif=turned(i)) for i in range(1, 9)},
    **{f"turned {i}.tif": saved(GOOD, "TIFF", exif=turned(i)) for i in (3, 6)},
    "turned 6, palette of alphas.png": saved(palette(), transparency=bytes(range(16)), exif=turned(6)),
    **{f"{h} x {w}.png": saved(colours(h, w)) for h, w in [(1, 1), (1, 2), (3, 1), (3, 4), (4, 3), (1, 3)]},
    **{f"{h} x {w}.png": saved(colours(h, w)) for h, w in [(1, 200), (200, 1), (2, 300), (7, 1400)]},
}
"""Those of which the processor, given the opened picture upright, makes what ours is given."""

EXIF_IS_IGNORED = {
    "nothing": b"",
    "not of Exif": b"abc",
    "only its head": JPEG_EXIF,
    "no byte order": JPEG_EXIF + b"XX\x2a\0\x08\0\0\0",
    "cut": saved(GOOD, "JPEG", exif=turned(6)).split(JPEG_EXIF)[1][:17],
    "beyond its end": JPEG_EXIF + b"II\x2a\0\xff\xff\xff\x7f",
    "orientation 0": turned(0).tobytes(),
    "orientation 9": turned(9).tobytes(),
    "orientation as text": JPEG_EXIF + b"II\x2a\0\x08\0\0\0\x01\0\x12\x01\x02\0\x02\0\0\0b\0\0\0\0\0\0\0",
    "a loop": JPEG_EXIF + b"II\x2a\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0",
    "orientation and a bad tag": JPEG_EXIF
    + b"II\x2a\0\x08\0\0\0\x02\0\x0f\x01\x02\0\xff\0\0\0\xff\xff\0\0\x12\x01\x03\0\x01\0\0\0\x01\0\0\0\0\0\0\0",
}
"""In a JPEG that is shown as if it had none."""

HIGH_BYTES = {
    "deep.png": saved(Image.fromarray(DEEP)),
    "deep.tif": saved(Image.fromarray(DEEP), "TIFF"),
    "deep, big-endian.tif": saved(Image.frombytes("I;16B", (40, 24), DEEP.astype(">u2").tobytes()), "TIFF"),
    "deep.pgm": b"P5 40 24 65535\n" + DEEP.astype(">u2").tobytes(),
}
"""Greys of 16 bits, DEEP, which convert("RGB") would make black and white."""

REFUSED = {
    "empty.png": (b"", r"is not an image \(0 bytes\)"),
    "text.jpg": (b"<html>not found</html>", "is not an image"),
    "cut.png": (saved(GOOD)[:-900], "does not open fully"),
    "cut.jpg": (saved(GOOD, "JPEG")[:-300], "does not open fully: OSError: .*truncated"),
    "head.png": (saved(GOOD)[:60], "does not open fully"),
    "bomb.png": (png(20000, 20000, 0, 8, b""), "more than 178,956,970 pixels: save it smaller"),
    "float.tif": (saved(Image.fromarray(GREYS.astype(np.float32)), "TIFF"), "mode F.*8 or 16 bits"),
    "int.tif": (saved(Image.fromarray(GREYS.astype(np.int32)), "TIFF"), "mode I.*8 or 16 bits"),
    "negative.tif": (saved(Image.fromarray(DEEP), "TIFF", tiffinfo={262: 0}), "mode I;16.*black as 0"),
    "line.png": (saved(colours(1, 201)), "201 x 1 pixels, one side more than 200 times the other: crop it"),
    "no width.png": (png(0, 5, 2, 8, b""), "does not open fully|is not an image"),
}
"""name -> bytes, and why `dataset` drops it."""
