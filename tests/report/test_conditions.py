"""Words are said to be masked only where some are."""

import pytest

from crosslens.report.leaks import leaks_finding
from crosslens.report.sections.data import masked_words
from crosslens.summary.conditions import condition_name


def told(english, arabic):
    masked = {("en", "caption"): english, ("ar", "caption"): arabic}
    return [
        {"language": language, "condition": condition, "masked": masked.get((language, condition), 0)}
        for language in ("en", "ar")
        for condition in ("prompt", "caption", "caption_whole")
    ]


@pytest.mark.parametrize(
    ("condition", "words", "languages", "name"),
    [
        ("prompt", told(9, 9), (), "before the caption"),
        ("caption", told(9, 9), (), "caption read, label words masked"),
        ("caption", told(0, 0), (), "caption read, no label words found, so nothing is masked"),
        (
            "caption",
            told(9, 0),
            (),
            "caption read, label words masked, but in Arabic none found and nothing masked",
        ),
        ("caption", told(9, 0), ("en",), "caption read, label words masked"),
        ("caption", told(9, 0), ("ar",), "caption read, no label words found, so nothing is masked"),
        ("caption", [], (), "caption read"),
        ("caption_whole", told(9, 0), (), "whole caption, label words included: lexical"),
        ("caption_whole", told(0, 0), (), "whole caption, as nothing is masked"),
    ],
)
def test_what_a_condition_is_called(condition, words, languages, name):
    assert condition_name(condition, words, languages) == name


def test_what_leaks_was_left_after_masking_only_where_something_was_masked():
    leak = {"auroc": 0.9, "auroc_low": 0.8, "auroc_high": 0.97, "leaks": True}
    few, none = ([record | leak for record in told(count, 0)] for count in (9, 0))
    assert "left after masking still tell" in leaks_finding(few, ["caption"]).title
    bare = leaks_finding(none, ["caption"])
    assert "masking" not in bare.title and all("(nothing is masked)" in line for line in bare.lines[:2])
    assert leaks_finding(few, []) is None


@pytest.mark.parametrize(
    ("label_words", "mask", "said"),
    [
        ({}, None, "there is no lexicon, and no word is masked"),
        ({"en": 9, "ar": 9}, "label_words", "masked are the words of the lexicons alone"),
        ({"en": 9, "ar": 0}, "label_words", "finds no label word in Arabic (العربية): none is masked there"),
        ({"en": 0, "ar": 0}, "label_words", "in English and in Arabic (العربية): none is masked there"),
        ({"en": 0, "ar": 9}, "agreement", "finds no label word in English: none is masked there"),
    ],
)
def test_the_section_on_the_data_says_what_is_masked(label_words, mask, said):
    hits = {
        code: {"female": n, "male": 0, "agreeing": 4, "agreement_known": code == "ar"}
        for code, n in label_words.items()
    }
    told = "; ".join(masked_words({"lexicon_hits": hits, "mask": mask}.__getitem__))
    assert said in told
    assert ("masked are" in told) == (mask == "agreement" or any(label_words.values()))
