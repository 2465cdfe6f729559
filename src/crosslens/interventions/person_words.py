"""The word for the person in a caption, and what it would be of the other gender."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import yaml

from crosslens.data.labels import gendered_spans
from crosslens.data.languages import language_of
from crosslens.data.lexicons import Lexicon


class PersonWord(NamedTuple):
    """The first gendered word of a text."""

    start: int
    """Where it begins."""
    female: str
    male: str


def word_pairs(lexicon: Path, given: Iterable[tuple[str, str]] | None) -> list[tuple[str, str]]:
    """(female, male) words: those given, or of a lexicon's groups that list as many female words as male ones, in their order."""
    if given is not None:
        return [tuple(pair) for pair in given]
    return [
        pair
        for group in yaml.safe_load(lexicon.read_text(encoding="utf-8"))["groups"]
        for words in [[group.get(gender) or [] for gender in ("female", "male")]]
        if len(words[0]) == len(words[1])
        for pair in zip(*words, strict=True)
    ]


def person_word(
    text: str, language: str, lexicon: Lexicon, pairs: Iterable[tuple[str, str]]
) -> PersonWord | None:
    """The first gendered word of `text`, if it is one of a pair as it is listed, behind at most a proclitic; else None."""
    spoken = language_of(language)
    other = {
        spoken.normalise(word): (spoken.normalise(female), spoken.normalise(male), female, male)
        for female, male in pairs
        for word in (female, male)
    }
    spans = gendered_spans(text, language, lexicon)
    if not spans:
        return None
    start, end, _ = spans[0]
    word = text[start:end]
    for prefix in ("", *sorted(spoken.prefixes, key=len, reverse=True)):
        found = other.get(spoken.normalise(word.removeprefix(prefix)))
        if word.startswith(prefix) and found is not None:
            return PersonWord(start, prefix + found[2], prefix + found[3])
    return None
