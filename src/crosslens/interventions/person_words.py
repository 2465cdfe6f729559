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
    """(female, male) words: those given, or of a lexicon's groups: of one that lists as many female words as male ones each with
    that at its place, of another the first of both."""
    if given is not None:
        return [tuple(pair) for pair in given]
    return [
        pair
        for group in yaml.safe_load(lexicon.read_text(encoding="utf-8"))["groups"]
        for words in [[group.get(gender) or [] for gender in ("female", "male")]]
        for pair in list(zip(*words, strict=False))[: None if len(words[0]) == len(words[1]) else 1]
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
