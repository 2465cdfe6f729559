"""Captions: every one parses back to its slots, agrees in Arabic, and the distribution is exact."""

import math
import random
import re

import pytest

from crosslens.planted.captions import (
    AR_COLOUR,
    AR_OBJECT,
    AR_OCCUPATION,
    NEUTRAL,
    TEMPLATES,
    caption_distribution,
    caption_genders,
    draw_caption,
    entropy,
    parse,
    render,
)
from crosslens.planted.scenes import (
    COLOURS,
    LANGUAGES,
    OBJECT_GENDER,
    OBJECTS,
    OCCUPATIONS,
    PLACES,
    PLANTED_BIAS,
    Scene,
)

WITHOUT_COLOUR = {("en", "works"), ("ar", "works"), ("ar", "possessive")}


def scenes() -> list[Scene]:
    """All 6000 attribute combinations, thinned so that every pair of values still occurs."""
    full = [
        Scene("test", "hidden", occupation, object_, colour, place)
        for occupation in OCCUPATIONS
        for object_ in OBJECTS
        for colour in COLOURS
        for place in PLACES
    ]
    return full[::7]


@pytest.mark.parametrize("language", LANGUAGES)
def test_captions_parse_back(language: str) -> None:
    for scene in scenes():
        for template in TEMPLATES[language]:
            for gender in ("female", "male"):
                slots = parse(render(scene, language, template, gender), language)
                assert slots.gender == (None if template == NEUTRAL else gender)
                assert not slots.mixed
                assert (slots.object, slots.place) == (scene.object, scene.place)
                named = not (language == "ar" and template == "plain") and template != "plain"
                assert slots.occupation == (scene.occupation if named else None)
                colour = None if (language, template) in WITHOUT_COLOUR else scene.colour
                assert slots.colour == colour
                adjective = OBJECT_GENDER[scene.object] if language == "ar" and colour else None
                assert slots.adjective_gender == adjective


def test_arabic_adjective_agrees_with_the_object_whatever_the_person() -> None:
    for scene in scenes():
        for gender in ("female", "male"):
            words = re.findall(r"\w+", render(scene, "ar", "plain", gender))
            feminine = OBJECT_GENDER[scene.object] == "feminine"
            assert AR_COLOUR[scene.colour][feminine] in words
            assert AR_COLOUR[scene.colour][not feminine] not in words


def test_arabic_person_words_agree_with_each_other() -> None:
    scene = Scene("test", "hidden", "doctor", "car", "red", "park")
    texts = {g: {t: render(scene, "ar", t, g) for t in TEMPLATES["ar"]} for g in ("female", "male")}
    assert texts["female"] == {
        "plain": "امرأة تغسل سيارة حمراء في الحديقة.",
        "occupation": "طبيبة تغسل سيارة حمراء في الحديقة.",
        "possessive": "الطبيبة تغسل سيارتها في الحديقة.",
        "works": "في الحديقة امرأة تعمل طبيبة وتغسل سيارة.",
        "pronoun": "هذه طبيبة. إنها تغسل سيارة حمراء في الحديقة.",
    }
    assert texts["male"] == {
        "plain": "رجل يغسل سيارة حمراء في الحديقة.",
        "occupation": "طبيب يغسل سيارة حمراء في الحديقة.",
        "possessive": "الطبيب يغسل سيارته في الحديقة.",
        "works": "في الحديقة رجل يعمل طبيبا ويغسل سيارة.",
        "pronoun": "هذا طبيب. إنه يغسل سيارة حمراء في الحديقة.",
    }
    book = Scene("test", "hidden", "nurse", "book", "blue", "office")
    assert render(book, "ar", "plain", "female") == "امرأة تقرأ كتابا أزرق في المكتب."
    assert render(book, "ar", "possessive", "male") == "الممرض يقرأ كتابه في المكتب."


def test_arabic_word_tables_are_consistent() -> None:
    for masculine, feminine in AR_OCCUPATION.values():
        assert feminine == masculine + "ة"
    for object_, noun in AR_OBJECT.items():
        assert noun.endswith("ة") == (OBJECT_GENDER[object_] == "feminine")


def test_english_articles() -> None:
    scene = Scene("test", "hidden", "engineer", "apple", "red", "park")
    expected = "in the park a woman who works as an engineer is eating an apple."
    assert render(scene, "en", "works", "female") == expected


@pytest.mark.parametrize("language", LANGUAGES)
def test_distribution_is_exact(language: str) -> None:
    for scene in scenes()[::20]:
        captions = caption_distribution(scene, language, 0.3)
        assert math.isclose(sum(c.probability for c in captions), 1)
        assert len({c.text for c in captions}) == len(captions) == (11 if language == "en" else 10)
        assert [c.gender for c in captions] == caption_genders(language)
        gendered = [c for c in captions if c.gender]
        female = sum(c.probability for c in gendered if c.gender == "female")
        assert math.isclose(female / sum(c.probability for c in gendered), 0.3)


def test_entropy_against_the_closed_form() -> None:
    scene = scenes()[0]
    weights = [w / 15 for w in TEMPLATES["ar"].values()]
    template_entropy = -sum(w * math.log(w) for w in weights)
    assert math.isclose(entropy(caption_distribution(scene, "ar", 1.0)), template_entropy)
    assert math.isclose(entropy(caption_distribution(scene, "ar", 0.5)), template_entropy + math.log(2))


def test_drawn_captions_of_visible_people_say_their_gender() -> None:
    rng = random.Random(0)
    scene = Scene("test", "female", "engineer", "key", "green", "street")
    for language in LANGUAGES:
        genders = {draw_caption(scene, language, PLANTED_BIAS, rng).gender for _ in range(100)}
        assert "male" not in genders and "female" in genders


def test_unknown_template_is_named() -> None:
    with pytest.raises(ValueError, match="'sonnet'"):
        render(scenes()[0], "en", "sonnet", "female")
