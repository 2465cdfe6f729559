"""What is told of captions, by hand, and the words for a person."""

import random
from pathlib import Path

import pytest

from crosslens.data.lexicons import load_lexicon
from crosslens.interventions.captioned import scores
from crosslens.interventions.person_words import PersonWord, person_word, word_pairs
from crosslens.planted.captions import caption_distribution, is_grammatical
from crosslens.planted.source import source_scene

LEXICONS = {language: Path(f"resources/lexicons/planted_{language}.yaml") for language in ("en", "ar")}


def scored(texts, clean, wanted="female", valid=None):
    lexicon = load_lexicon(LEXICONS["en"], "en")
    return scores(texts, clean, language="en", lexicon=lexicon, valid=valid, wanted=wanted)


def test_scores_by_hand():
    clean = ["a man is washing a red cup.", "a woman is eating an apple.", "a man and his man."]
    edited = ["a woman is washing a blue cup.", "a woman is eating an apple.", "a man a man a man"]
    told = scored(edited, clean, valid=lambda text: text.endswith("."))
    # 7 + 6 + 6 words; woman twice, man three times
    assert told["female_per_100_words"] == pytest.approx(100 * 2 / 19)
    assert told["male_per_100_words"] == pytest.approx(100 * 3 / 19)
    assert told["words_per_caption"] == pytest.approx(19 / 3)
    # of the two that were of a man one became a woman
    assert told["cause"] == pytest.approx(1 / 2)
    # a is washing a red cup: all but red; of the third "a" and "and": one of two
    assert told["isolation"] == pytest.approx((5 / 6 + 1 + 1 / 2) / 3)
    assert told["disentanglement"] == pytest.approx((told["cause"] + told["isolation"]) / 2)
    # "a man a man a man": 5 pairs, 2 of them new
    assert told["repetition"] == pytest.approx((3 / 5) / 3)
    assert told["valid"] == pytest.approx(2 / 3)


def test_without_a_gender_that_is_wanted_the_gender_goes():
    told = scored(["a nurse."] * 2, ["a man.", "a nurse."], wanted=None)
    assert (told["cause"], told["valid"]) == (1, None)


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "the nurse is washing his cup.", PersonWord(21, "her", "his")),
        ("en", "the nurse is washing a cup.", None),
        ("ar", "ممرضة تغسل كوبا.", PersonWord(0, "ممرضة", "ممرض")),
        ("ar", "الفلاح يغسل كوبه في المدرسة.", PersonWord(0, "الفلاحة", "الفلاح")),
        ("ar", "في المدرسة رجل يعمل فلاحا.", PersonWord(11, "امرأة", "رجل")),
    ],
)
def test_the_word_for_the_person_and_the_other_one(language, text, expected):
    lexicon = load_lexicon(LEXICONS[language], language)
    assert person_word(text, language, lexicon, word_pairs(LEXICONS[language], None)) == expected


def test_given_pairs_take_the_place_of_the_lexicons():
    lexicon = load_lexicon(LEXICONS["en"], "en")
    pairs = word_pairs(LEXICONS["en"], [["woman", "man"]])
    assert pairs == [("woman", "man")]
    assert person_word("a man with her cup", "en", lexicon, pairs) == PersonWord(2, "woman", "man")
    assert person_word("her cup", "en", lexicon, pairs) is None


@pytest.mark.parametrize("language", ["en", "ar"])
def test_captions_of_the_grammar_are_valid_and_mixed_up_ones_are_not(language):
    rng = random.Random(0)
    for index in range(20):
        scene = source_scene(index, seed=3)
        for caption in caption_distribution(scene, language, 0.5):
            assert is_grammatical(caption.text, language)
            words = caption.text.rstrip(".").split()
            rng.shuffle(words)
            if (mixed := " ".join(words) + ".") != caption.text:
                assert not is_grammatical(mixed, language), mixed
    assert not is_grammatical("", language)
