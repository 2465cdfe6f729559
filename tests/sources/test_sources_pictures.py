"""Pictures of emoji: one glyph or none, the right one, and the same every time."""

import numpy as np
import pytest
from PIL import features

from crosslens.errors import InputError
from crosslens.sources.emoji_names import emoji_names
from crosslens.sources.pictures import EmojiFont
from crosslens.sources.plan import DEBIAN_FONT

pytest.importorskip("emoji", reason="needs the package emoji")
pytestmark = pytest.mark.skipif(
    not (DEBIAN_FONT.is_file() and features.check("raqm")), reason="needs fonts-noto-color-emoji and libraqm"
)


@pytest.fixture(scope="module")
def font():
    return EmojiFont(DEBIAN_FONT)


def glyphs_by_table(emoji):
    """Glyphs that the font's own ligature table makes of a sequence, by fontTools and without a shaper.

    Noto's table holds each ZWJ sequence, flag and toned emoji as ligatures; variation selectors are dropped first.
    """
    ttLib = pytest.importorskip("fontTools.ttLib")
    if not hasattr(glyphs_by_table, "tables"):
        opened = ttLib.TTFont(DEBIAN_FONT, lazy=True)
        ligatures = {}
        for lookup in opened["GSUB"].table.LookupList.Lookup:
            for table in lookup.SubTable:
                table = getattr(table, "ExtSubTable", table)
                for first, entries in (getattr(table, "ligatures", None) or {}).items():
                    for entry in entries:
                        ligatures[first, *entry.Component] = entry.LigGlyph
        glyphs_by_table.tables = opened.getBestCmap(), ligatures
    cmap, ligatures = glyphs_by_table.tables
    codes = [ord(char) for char in emoji if char != "\ufe0f"]
    if any(code not in cmap for code in codes):
        return None
    names = tuple(cmap[code] for code in codes)
    return 1 if len(names) == 1 or names in ligatures else None


def test_what_is_called_lacking_is_what_the_fonts_own_tables_lack(font):
    names = emoji_names()
    lacking = {name.image_id for name in names if font.lacks(name.emoji)}
    assert lacking == {name.image_id for name in names if glyphs_by_table(name.emoji) is None}
    assert len(lacking) < len(names) / 10


@pytest.mark.parametrize("text", ["👩‍🐢", "👩👨", "👩🏽👍", "\U0001f6d8x", "\U000f0000", "🇿🇿", "🇨🇶"])
def test_what_is_not_one_glyph_is_refused(font, text):
    assert font.lacks(text)
    with pytest.raises(ValueError, match="glyphs|not in the font|question mark"):
        font.draw(text, 64)


def test_pictures_fill_a_white_square_and_repeat_exactly(font):
    for emoji in ("👩🏽‍🏫", "🇪🇬", "🧑‍⚖️"):
        picture = font.draw(emoji, 96)
        assert (picture.mode, picture.size) == ("RGB", (96, 96))
        pixels = np.asarray(picture)
        assert 0.1 < (pixels < 250).any(axis=2).mean() < 0.95
        assert (pixels[0] == 255).all() and (pixels[-1] == 255).all()
        assert picture.tobytes() == font.draw(emoji, 96).tobytes()


def test_gender_and_tone_are_to_be_seen(font):
    drawn = [font.draw(emoji, 64).tobytes() for emoji in ("👩‍🏫", "👨‍🏫", "🧑‍🏫", "👩🏽‍🏫", "👩🏿‍🏫")]
    assert len(set(drawn)) == 5


def test_a_file_that_is_no_such_font_is_refused(tmp_path):
    (tmp_path / "font.ttf").write_bytes(b"no font")
    with pytest.raises(InputError, match="font.ttf.*fonts-noto-color-emoji"):
        EmojiFont(tmp_path / "font.ttf")
