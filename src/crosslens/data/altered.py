"""Captions of control studies: in Latin letters, or with their words in another order; label words stay known by their place."""

import hashlib
import re
from collections.abc import Mapping, Sequence

import numpy as np

from crosslens.data.languages import language_of

Span = tuple[int, int]


def altered(
    text: str, spans: Sequence[Sequence[int]], how: str | None, *, language: str, sample: str
) -> tuple[str, list[Span]]:
    """The text as a control has it, and where the parts `spans` (start, end) of it are then.

    how: `romanised`, letter by letter with the language's table (a language without one stays as it is); `shuffled`, its
    words between white space in an order that follows from `sample` and the language; None, as it is.
    """
    if how == "romanised":
        return romanised(text, spans, language_of(language).romanisation)
    if how == "shuffled":
        seed = hashlib.sha256(f"{language}/{sample}".encode()).digest()
        return shuffled(text, spans, np.random.default_rng(list(seed)))
    return text, [(start, end) for start, end in spans]


def romanised(text: str, spans: Sequence[Sequence[int]], table: Mapping[str, str]) -> tuple[str, list[Span]]:
    """Each letter of the text by `table`, the others as they are."""
    pieces = [table.get(letter, letter) for letter in text]
    place = np.cumsum([0, *map(len, pieces)]).tolist()
    return "".join(pieces), [(place[start], place[end]) for start, end in spans]


def shuffled(
    text: str, spans: Sequence[Sequence[int]], random: np.random.Generator
) -> tuple[str, list[Span]]:
    """Its words in a drawn order, the white space between them as it was; a span of several words becomes one of each."""
    words = [*re.finditer(r"\S+", text)]
    spaces = re.split(r"\S+", text)
    made, moved = spaces[0], []
    for number, space in zip(random.permutation(len(words)), spaces[1:], strict=True):
        word = words[number]
        for start, end in spans:
            first, last = max(start, word.start()), min(end, word.end())
            if first < last:
                shift = len(made) - word.start()
                moved.append((first + shift, last + shift))
        made += word.group() + space
    return made, sorted(moved)
