"""Pictures of emoji from a bitmap colour font (Noto Color Emoji), and honesty about what the font lacks."""

import re
from functools import cached_property
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, features

from crosslens.errors import InputError

STRIKE = 109
"""The one size of the font's bitmaps, in pixels per em."""


_REGION = re.compile("[\U0001f1e6-\U0001f1ff]{2}$")


class EmojiFont:
    """Draws an emoji if the font has one glyph for the whole sequence.

    Raises InputError for a file that is no such font, and without libraqm, which composes sequences.
    """

    def __init__(self, path: Path):
        self.path = path
        if not features.check("raqm"):
            raise InputError(
                "Pillow",
                found="no libraqm",
                expected="it, to compose emoji of several code points",
                mend="install Pillow from its wheels, or libraqm0",
            )
        try:
            self._font = ImageFont.truetype(self.path, STRIKE, layout_engine=ImageFont.Layout.RAQM)
        except OSError as error:
            raise InputError(
                self.path,
                found=f"{error}",
                expected=f"a bitmap colour font of emoji with a strike of {STRIKE} pixels",
                mend="name NotoColorEmoji.ttf of Debian's fonts-noto-color-emoji under `emoji.font`",
            ) from error

    @cached_property
    def _advance(self) -> float:
        return self._font.getlength("\U0001f600")

    @cached_property
    def _stand_in(self) -> bytes:
        """What the font shows for a region that is none (ZZ), and so for a flag that is newer than the font."""
        return self._paint("\U0001f1ff\U0001f1ff").tobytes()

    def lacks(self, emoji: str) -> str | None:
        """Why there is no picture of `emoji`; None where the font has one glyph for it."""
        _, top, _, bottom = self._font.getbbox(emoji)
        glyphs = self._font.getlength(emoji) / self._advance
        if bottom <= top:
            return "not in the font"
        if glyphs != 1:
            return f"falls apart into {glyphs:.3g} glyphs"
        stand_in = _REGION.match(emoji) and self._paint(emoji).tobytes() == self._stand_in
        return "a flag that the font shows as a question mark" if stand_in else None

    def draw(self, emoji: str, pixels: int) -> Image.Image:
        """The emoji on white, RGB, `pixels` square, its proportions kept. Raises ValueError if `lacks` says why not."""
        if reason := self.lacks(emoji):
            raise ValueError(f"{emoji!r}: {reason}")
        return self._paint(emoji).convert("RGB").resize((pixels, pixels), Image.Resampling.LANCZOS)

    def _paint(self, emoji: str) -> Image.Image:
        left, top, right, bottom = self._font.getbbox(emoji)
        side = max(right - left, bottom - top)
        canvas = Image.new("RGBA", (side, side), "white")
        corner = ((side - (right - left)) // 2 - left, (side - (bottom - top)) // 2 - top)
        ImageDraw.Draw(canvas).text(corner, emoji, font=self._font, embedded_color=True)
        return canvas
