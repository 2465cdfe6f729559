"""Words, their spans and their readings; whole words only."""

import unicodedata

import pytest
from data_tables import RELAXED
from hypothesis import given
from hypothesis import strategies as st

from crosslens.data.languages import language_of
from crosslens.data.languages.ar import ARTICLE
from crosslens.data.languages.base import Candidate

ARABIC = language_of("ar")

ALPHABET = "ابةتكلوفسهيمنأؤىـًَّ abc'-’ .,،؟\u200d\u200f"


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("The man's dog.", "en", ["The", "man's", "dog"]),
        ("a man-made lake — she said 'he'", "en", ["a", "man-made", "lake", "she", "said", "he"]),
        ("he/she, snake_case", "en", ["he", "she", "snake", "case"]),
        ("رَجُلٌ يقرأُ كِتابًا.", "ar", ["رَجُلٌ", "يقرأُ", "كِتابًا"]),
        ("رجـــل، وامرأة؟", "ar", ["رجـــل", "وامرأة"]),
        ("رجل-امرأة", "ar", ["رجل", "امرأة"]),
        ("लड़की किताब", "hi", ["लड़की", "किताब"]),
        ("", "en", []),
    ],
)
def test_words(text, language, expected):
    assert [word.text for word in language_of(language).words(text)] == expected


@given(st.one_of(st.text(), st.text(ALPHABET)), st.sampled_from(["en", "ar", "fr"]))
@RELAXED
def test_spans_are_those_of_the_text_and_lose_no_letter(text, language):
    found = language_of(language).words(text)
    assert all(text[word.start : word.end] == word.text for word in found)
    assert all(a.end <= b.start for a, b in zip(found, found[1:], strict=False))
    covered = {i for word in found for i in range(word.start, word.end)}
    letters = {i for i, c in enumerate(text) if c.isalnum()}
    assert letters <= covered


@pytest.mark.parametrize(
    ("first", "second"),
    [("رَجُلٌ", "رجل"), ("رجـــل", "رجل"), ("إمرأة", "امراة"), ("فتى", "فتي"), ("أُمّ", "ام"), ("ﻻ", "لا")],
)
def test_spellings_that_are_one_word(first, second):
    assert ARABIC.normalise(first) == ARABIC.normalise(second)


def test_ta_marbuta_stays_apart_from_ha():
    assert ARABIC.normalise("ممرضة") != ARABIC.normalise("ممرضه")


@given(st.text(ALPHABET))
@RELAXED
def test_normalising_twice_changes_nothing(text):
    once = ARABIC.normalise(text)
    assert ARABIC.normalise(once) == once
    assert not any(unicodedata.category(c) == "Mn" for c in once)


@pytest.mark.parametrize(
    ("word", "candidate"),
    [
        ("والممرضة", Candidate("ممرضة", ("و", ARTICLE), "")),
        ("للرجل", Candidate("رجل", ("ل", ARTICLE), "")),
        ("وبالسيارة", Candidate("سيارة", ("و", "ب", ARTICLE), "")),
        ("فسيعمل", Candidate("يعمل", ("ف", "س"), "")),
        ("كتابها", Candidate("كتاب", (), "ها")),
        ("سيارته", Candidate("سيارة", (), "ه")),
        ("وابنتهم", Candidate("ابنة", ("و",), "هم")),
        ("رجلاً", Candidate("رجل", (), "ا")),
        ("بدراجة", Candidate("دراجة", ("ب",), "")),
        ("للغة", Candidate("لغة", ("ل", ARTICLE), "")),
        ("وللغة", Candidate("لغة", ("و", "ل", ARTICLE), "")),
        ("للرجل", Candidate("رجل", ("ل", ARTICLE), "")),
        ("شاهدني", Candidate("شاهد", (), "ني")),
        ("ليساعدني", Candidate("يساعد", ("ل",), "ني")),
        ("أتكتب", Candidate("تكتب", ("أ",), "")),
        ("أوليس", Candidate("ليس", ("أ", "و"), "")),
        ("أبالسيارة", Candidate("سيارة", ("أ", "ب", ARTICLE), "")),
    ],
)
def test_a_reading_of_an_arabic_word(word, candidate):
    assert candidate in ARABIC.candidates(word)


def test_the_whole_word_comes_first_and_the_article_excludes_possessives():
    assert ARABIC.candidates("والدها")[0] == Candidate("والدها", (), "")
    assert all(c.suffix == "" for c in ARABIC.candidates("الكتابها") if ARTICLE in c.prefixes)


@given(st.text("ابتةكلوفسهيمنأ", min_size=1, max_size=12))
@RELAXED
def test_readings_put_together_again_are_the_word(word):
    for stem, prefixes, suffix in ARABIC.candidates(word):
        prefix, stems = "".join(prefixes), {stem}
        if prefixes[-2:] == ("ل", ARTICLE):
            prefix = prefix.replace("لال", "لل", 1)
            stems |= {stem.removeprefix("ل")}
        if stem.endswith("ة") and suffix:
            stems |= {stem[:-1] + "ت"}
        assert word in {prefix + form + suffix for form in stems}


@pytest.mark.parametrize(
    ("written", "wanted", "language", "same"),
    [
        ("أمام", "أم", "ar", False),
        ("والأم", "أم", "ar", True),
        ("بِالمَرأةِ", "المرأة", "ar", True),
        ("للمرأة", "المرأة", "ar", True),
        ("رجـــل", "رَجُل", "ar", True),
        ("امرأة", "امرأه", "ar", False),
        ("ممرضته", "ممرضة", "ar", True),
        # a door, a laptop, August, a mirror, mister, a girl, a dog, an idea
        ("باب", "أب", "ar", False),
        ("لاب", "أب", "ar", False),
        ("آب", "أب", "ar", False),
        ("مرآة", "مرأة", "ar", False),
        ("سيد", "يد", "ar", False),
        ("وسيده", "يد", "ar", False),
        ("بنت", "نت", "ar", False),
        ("كلبها", "لب", "ar", False),
        ("فكرة", "كرة", "ar", False),
        ("والكرة", "كرة", "ar", True),
        ("وكرة", "كرة", "ar", True),
        ("للأب", "الأب", "ar", True),
        ("الاب", "أب", "ar", True),
        ("لرجل", "رجل", "ar", True),
        ("لامرأة", "امرأة", "ar", True),
        ("ستحمل", "تحمل", "ar", True),
        ("بيده", "بيده", "ar", True),
        ("و", "و", "ar", True),
        ("the", "he", "en", False),
        ("Woman's", "woman", "en", True),
        ("person", "son", "en", False),
    ],
)
def test_whole_words_only(written, wanted, language, same):
    assert language_of(language).is_word(written, wanted) is same
