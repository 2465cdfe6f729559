"""Tokens as a reader sees them: which characters, which word and which clitic or stem each one is.

Tokens are given by their characters, `starts` and `ends` (T) int in the text, end exclusive, -1 where a token has no
place in it. Nothing here changes a text: every span is one of the text as the model saw it.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import regex

from crosslens.data.languages import language_of
from crosslens.data.languages.base import TATWEEL, Candidate, Language, Word
from crosslens.errors import InputError

_SHAPING = "\u200d"
"""Zero-width joiner: gives an Arabic letter the form that it has inside a word."""
_JOINS_NOTHING_BEHIND = "ءآأؤإاةدذرزوٱ"
_ARABIC_LETTER = regex.compile(r"[\p{Script=Arabic}&&\p{L}]", regex.V1)
_SPACES = {" ": "␣", "\n": "↵", "\t": "⇥"}


class Unit(NamedTuple):
    """A stretch of text that is shown in one piece: whole characters, each with its combining marks."""

    start: int
    end: int
    tokens: tuple[int, ...]
    """The tokens that have characters in it; several where they share a character, none where no token covers it."""


class Segment(NamedTuple):
    """A part of a word, at `text[start:end]`."""

    kind: str
    """proclitic, stem or enclitic."""
    form: str
    """What it stands for: the article ال also where it is written ل, and a stem with ة where it is written ت."""
    start: int
    end: int


class Reading(NamedTuple):
    """One way to take a written word apart."""

    candidate: Candidate
    segments: tuple[Segment, ...]
    """From the first to the last; they cover the word."""


@dataclass(frozen=True)
class TextMap:
    """The T tokens of a text, its display units and its W words."""

    text: str
    language: str
    starts: np.ndarray
    """(T) int64 first character, -1 without a place in the text."""
    ends: np.ndarray
    """(T) int64 end, exclusive; -1 likewise."""
    units: tuple[Unit, ...]
    """Joined they are the text."""
    unit_of: np.ndarray
    """(T) int64 index into `units`, -1 without a place in the text."""
    words: tuple[Word, ...]
    word_of: np.ndarray
    """(T) int64 index of the first word that the token has characters of, -1 between words."""
    tokens_of: tuple[tuple[int, ...], ...]
    """Per word all its tokens; one that spans several words is in each of them."""

    def readings(self, word: int) -> list[Reading]:
        """Every reading of a word, the most literal first."""
        return readings(self.words[word], self.language)

    def tokens_in(self, start: int, end: int) -> tuple[int, ...]:
        """The tokens that have a character in `text[start:end]`."""
        return tuple(np.flatnonzero((self.starts < end) & (self.ends > start)).tolist())

    def display(self, token: int) -> str:
        """What a reader is shown for a token; which one it is where several share it: `ظ [1/2]`. Empty without a place."""
        if (at := int(self.unit_of[token])) < 0:
            return ""
        unit = self.units[at]
        shown = display(self.text, unit.start, unit.end)
        if len(unit.tokens) == 1:
            return shown
        # the left-to-right mark keeps the number behind an Arabic letter
        return f"{shown}\u200e [{unit.tokens.index(token) + 1}/{len(unit.tokens)}]"


def clusters(text: str) -> list[int]:
    """The borders of the characters as a reader sees them, from 0 to len(text): extended grapheme clusters (UAX #29)."""
    return [0, *(match.end() for match in regex.finditer(r"\X", text))] if text else [0]


def map_text(text: str, starts: np.ndarray, ends: np.ndarray, language: str = "") -> TextMap:
    """The token ↔ word ↔ character map of a text; InputError for a token outside of it."""
    starts, ends = np.asarray(starts, dtype=np.int64), np.asarray(ends, dtype=np.int64)
    placed = starts >= 0
    if (outside := np.flatnonzero(placed & ((ends > len(text)) | (ends < starts)))).size:
        token = int(outside[0])
        raise InputError(
            f"token {token} of {text[:60]!r}",
            found=f"the characters [{starts[token]}, {ends[token]})",
            expected=f"characters within [0, {len(text)})",
            mend="give the tokens of this text",
        )
    units = display_units(text, starts, ends)
    unit_of = np.full(len(starts), -1, dtype=np.int64)
    for i, unit in enumerate(units):
        unit_of[list(unit.tokens)] = i
    found = tuple(language_of(language).words(text))
    word_of = np.full(len(starts), -1, dtype=np.int64)
    tokens_of = []
    for i, word in enumerate(found):
        inside = np.flatnonzero(placed & (starts < word.end) & (ends > word.start))
        word_of[inside[word_of[inside] < 0]] = i
        tokens_of.append(tuple(inside.tolist()))
    return TextMap(text, language, starts, ends, units, unit_of, found, word_of, tuple(tokens_of))


def display_units(text: str, starts: np.ndarray, ends: np.ndarray) -> tuple[Unit, ...]:
    """The text cut where tokens meet, but never inside of a character: tokens that share one are one unit.

    Characters without a token are units without tokens, and every token with a place is in exactly one unit.
    """
    borders = np.array(clusters(text))
    placed = np.flatnonzero(starts >= 0)
    last = max(len(borders) - 2, 0)
    first = np.searchsorted(borders, starts[placed], "right") - 1
    first = np.minimum(first, last)
    # a token without characters (a trimmed space) is shown with the character where it stands
    after = np.maximum(
        np.searchsorted(borders, ends[placed], "left"), np.minimum(first + 1, len(borders) - 1)
    )
    units: list[Unit] = []
    shown = 0
    for i in np.lexsort((after, first)):
        low, high, token = int(borders[first[i]]), int(borders[after[i]]), int(placed[i])
        if units and units[-1].tokens and (low < units[-1].end or not text):
            units[-1] = Unit(
                units[-1].start, max(units[-1].end, high), tuple(sorted((*units[-1].tokens, token)))
            )
        else:
            if low > shown:
                units.append(Unit(shown, low, ()))
            units.append(Unit(low, high, (token,)))
        shown = units[-1].end
    if shown < len(text):
        units.append(Unit(shown, len(text), ()))
    return tuple(units)


def display(text: str, start: int, end: int) -> str:
    """`text[start:end]` as a label: without spaces around it, Arabic letters in the form that they have in their word."""
    piece = text[start:end]
    shown = piece.strip()
    if not shown:
        return "".join(_SPACES.get(character, character) for character in piece)
    start += len(piece) - len(piece.lstrip())
    end = start + len(shown)
    before = _SHAPING if _joined(text, start) else ""
    return before + shown + (_SHAPING if _joined(text, end) else "")


def _joined(text: str, at: int) -> bool:
    """Whether an Arabic letter behind the border is joined to one in front of it, if by a tatweel between them."""
    left, right = regex.sub(r"\p{M}+$", "", text[:at])[-1:], text[at : at + 1]
    return _is_joining(left) and left not in _JOINS_NOTHING_BEHIND and _is_joining(right) and right != "ء"


def _is_joining(character: str) -> bool:
    return character == TATWEEL or bool(_ARABIC_LETTER.fullmatch(character))


def readings(word: Word, language: str) -> list[Reading]:
    """Every reading of a word as segments with their characters, the most literal first.

    In a language without clitics a word is one stem. Marks and tatweel belong to the letter before them; where one
    written character holds letters of two segments (the ligature ﻻ; the ل of للغة, the article's and the stem's), both
    have it.
    """
    spoken = language_of(language)
    found = spoken.candidates(word.text)
    if not spoken.has_clitics:
        return [Reading(found[0], (Segment("stem", found[0].stem, word.start, word.end),))] if found else []
    borders = clusters(word.text)
    bare = [len(spoken.letters(word.text[:border])) for border in borders]
    # the written character of every letter that the candidates are made of
    holder = [i for i, (low, high) in enumerate(pairwise(bare)) for _ in range(low, high)]
    return [Reading(candidate, _segments(word, candidate, spoken, borders, holder)) for candidate in found]


def _segments(
    word: Word, candidate: Candidate, language: Language, borders: list[int], holder: list[int]
) -> tuple[Segment, ...]:
    # what each adds to those before it: of ل and the Arabic article, written لل, the latter adds one letter
    written = [len(language.spell(candidate.prefixes[:i])) for i in range(len(candidate.prefixes) + 1)]
    lengths = [high - low for low, high in pairwise(written)]
    parts = [("proclitic", *prefix) for prefix in zip(candidate.prefixes, lengths, strict=True)]
    taken = written[-1]
    # the ل of the article is the stem's where this begins with one
    shared_letters = taken + len(candidate.stem) + len(candidate.suffix) - len(holder)
    parts.append(("stem", candidate.stem, len(candidate.stem)))
    if candidate.suffix:
        parts.append(("enclitic", candidate.suffix, len(candidate.suffix)))
    segments, letter = [], 0
    for kind, form, length in parts:
        if kind == "stem":
            letter -= shared_letters
        low = borders[holder[letter]] if letter else 0
        letter += length
        high = len(word.text)
        if letter < len(holder):
            shared = holder[letter] == holder[letter - 1]
            high = borders[holder[letter] + shared]
        segments.append(Segment(kind, form, word.start + low, word.start + high))
    return tuple(segments)
