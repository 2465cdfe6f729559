"""Highlighting keeps every letter and shows every activation."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosslens.errors import InputError
from crosslens.tokens.highlight import pieces


def test_sub_word_pieces_of_an_arabic_word_stay_one_word():
    text = "هذه ممرضة"
    found = pieces(text, [(4, 6, 1.0), (6, 9, 4.0)], scale=4.0)
    assert [(piece.text, piece.value, piece.opacity) for piece in found] == [
        (text[:4], None, 0.0),
        (text[4:6], 1.0, 0.25),
        (text[6:9], 4.0, 1.0),
    ]


def test_byte_tokens_of_one_character_show_the_largest():
    (found,) = pieces("ة", [(0, 1, 1.0), (0, 1, 3.0)], scale=3.0)
    assert (found.text, found.value) == ("ة", 3.0)


def test_a_vowel_sign_is_not_cut_from_its_letter():
    text = "ممرضةٌ"
    assert [piece.text for piece in pieces(text, [(5, 6, 2.0)], scale=2.0)] == ["ممرض", "ةٌ"]


def test_an_emoji_of_several_characters_is_not_cut():
    text = "a 👩🏽‍⚕️!"
    assert [piece.text for piece in pieces(text, [(2, 3, 2.0)], scale=2.0)] == ["a ", "👩🏽‍⚕️", "!"]


def test_a_span_outside_the_text_is_refused():
    with pytest.raises(InputError, match=r"\[2, 9\)"):
        pieces("abc", [(2, 9, 1.0)], scale=1.0)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.text(alphabet="ab ةـًٌم🙂\u200d🏽", max_size=20))
def test_the_pieces_joined_are_the_text(data, text):
    ends = st.integers(0, len(text))
    spans = data.draw(
        st.lists(
            st.tuples(ends, ends, st.floats(0, 5)).map(lambda s: (min(s[:2]), max(s[:2]), s[2])), max_size=6
        )
    )
    found = pieces(text, spans, scale=5.0)
    assert "".join(piece.text for piece in found) == text
    assert all(piece.text for piece in found)
    assert all(0 <= piece.opacity <= 1 for piece in found)
    largest = max((value for start, end, value in spans if end > start), default=0)
    assert max((piece.value or 0 for piece in found), default=0) == largest
