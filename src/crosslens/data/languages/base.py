"""What a language is: its words with their spans, what may be written onto them, and how it is shown.

Nothing here rewrites a text: spans are spans of the text as given, and normalised forms serve matching only. Standard
library only: the Snakefile reads captions, and plans, with it.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import product
from typing import NamedTuple

TATWEEL = "\u0640"
INVISIBLE = "".join(
    chr(code)
    for first, last in (
        (0xAD, 0xAD),
        (0x34F, 0x34F),
        (0x61C, 0x61C),
        (0x180B, 0x180E),
        (0x200B, 0x200F),
        (0x202A, 0x202E),
        (0x2060, 0x206F),
        (0xFE00, 0xFE0F),
        (0xFEFF, 0xFEFF),
    )
    for code in range(first, last + 1)
)
"""Soft hyphens, joiners, marks of direction and of order, variation selectors (Unicode's Default_Ignorable_Code_Point):
inside a word they are typography, not letters."""
_UNSEEN = str.maketrans("", "", INVISIBLE)
_ALIKE = str.maketrans({"’": "'", "ʼ": "'", "‐": "-", "‑": "-"})


class Word(NamedTuple):
    """One word as written, at `text[start:end]`."""

    text: str
    start: int
    end: int


class Affixes(NamedTuple):
    """What a form has around a stem, as normalised."""

    prefix: str
    suffix: str

    def of(self, stem: str) -> str:
        """The form of that stem."""
        return self.prefix + stem + self.suffix

    def stem_of(self, form: str) -> str | None:
        """The stem of a form; None where it is none of these."""
        if not (form.startswith(self.prefix) and form.endswith(self.suffix)):
            return None
        return form[len(self.prefix) : len(form) - len(self.suffix)]


class Agreement(NamedTuple):
    """A form that agrees in gender: what is known of the other gender tells that it does."""

    own: Affixes
    other: Affixes
    shortest: int
    """Letters of the stem at least."""


class Candidate(NamedTuple):
    """One reading of a written word."""

    stem: str
    """What is left of its `letters`; `normalise` it to compare."""
    prefixes: tuple[str, ...]
    """The proclitics that this reading takes off, outermost first; an article is its own element."""
    suffix: str
    """The enclitic that this reading takes off, or the empty string."""


@dataclass(frozen=True)
class Language:
    """Words of letters and digits, equal but for capitals, left to right: the plain language, which the others extend.

    Where values do not say enough, a language is a subclass that overrides a method.
    """

    name: str
    """As a reader is told it, in English first: `Arabic (العربية)`."""
    right_to_left: bool = False
    joiners: str = ""
    """Characters that make one word of two runs of letters when they stand between them: the hyphen of "man-made"."""
    proclitics: tuple[tuple[str, ...], ...] = ()
    """What may be written onto the front of a word, in slots from the outermost on: of each slot at most one."""
    enclitics: tuple[str, ...] = ()
    """What may be written onto its end, at most one of them."""
    case_endings: tuple[str, ...] = ()
    """Those of the enclitics that tell nothing but a case."""
    agreement: tuple[Agreement, ...] = ()
    """Forms that agree with a person, each beside one of the other gender: with a lexicon, what is to be masked."""
    asking: frozenset[str] = frozenset()
    """Words, normalised, in front of which a sentence asks or weighs, beside its question mark."""
    shortest_stem: int = 1
    """Letters that are left of a word at least when its clitics are taken off; with clitics give 2 or more."""
    romanisation: dict[str, str] = field(default_factory=dict, hash=False)
    """Letters of its script to Latin ones, for control studies; empty where it is written in Latin letters."""
    opening: str = ""
    """How a text of nothing in particular may begin: behind it the model is asked where a study has no prompt."""
    ask_without_gender: str = ""
    """A prompt that asks for a picture's caption without gender."""
    caption_column: str = ""
    """A column of caption tables that holds its captions, beside `{code}_caption`."""
    colour: str = ""
    """In figures: a hex code of seaborn's `colorblind` palette; without one, a spare colour by position."""
    characters_per_token: float = 3.0
    """For plans of texts whose tokenizer is not there."""
    characters_basis: str = "assumed: between English and Arabic in Gemma 3"
    """Where that number is from: "measured on …" or "assumed: …"."""

    @cached_property
    def prefixes(self) -> tuple[str, ...]:
        """All proclitics, outermost first."""
        return tuple(clitic for slot in self.proclitics for clitic in slot)

    @property
    def has_clitics(self) -> bool:
        """Whether its words are taken apart."""
        return bool(self.proclitics or self.enclitics)

    def words(self, text: str) -> list[Word]:
        """The words of `text` in order."""
        return [
            Word(match.group(), match.start(), match.end()) for match in _pattern(self.joiners).finditer(text)
        ]

    def letters(self, word: str) -> str:
        """A word as its readings have it: NFKC, casefolded, one kind of apostrophe and hyphen, nothing invisible."""
        return unicodedata.normalize("NFKC", visible(word)).casefold().translate(_ALIKE)

    def normalise(self, word: str) -> str:
        """The form under which all spellings of a word are equal, for matching only."""
        return self.letters(word)

    def candidates(self, word: str) -> list[Candidate]:
        """Every reading of a written word as proclitics + stem + enclitic, the longest stem, so the most literal, first.

        Which readings are words is a lexicon's to say.
        """
        letters = self.letters(word)
        found = [
            reading
            for written, prefixes in self._openings
            if letters.startswith(written) and len(letters) - len(written) >= self.shortest_stem
            for reading in self.readings_behind(prefixes, letters[len(written) :])
        ]
        return sorted(found, key=lambda reading: -len(reading.stem))

    @cached_property
    def _openings(self) -> list[tuple[str, tuple[str, ...]]]:
        """What a word may begin with, the shortest first: as written, and the proclitics that it stands for."""
        chosen = (tuple(filter(None, row)) for row in product(*(("", *slot) for slot in self.proclitics)))
        spelt = ((self.spell(prefixes), prefixes) for prefixes in chosen)
        return sorted((pair for pair in spelt if pair[0] is not None), key=lambda pair: len(pair[0]))

    def spell(self, prefixes: tuple[str, ...]) -> str | None:
        """How these proclitics are written together, each adding to what is before it; None where they never stand so."""
        return "".join(prefixes)

    def readings_behind(self, prefixes: tuple[str, ...], rest: str) -> Iterator[Candidate]:
        """The readings of what these proclitics leave of a word."""
        yield Candidate(rest, prefixes, "")
        for enclitic in self.enclitics:
            stem = rest.removesuffix(enclitic)
            if stem != rest and len(stem) >= self.shortest_stem:
                yield Candidate(stem, prefixes, enclitic)

    def fits(self, candidate: Candidate, letters: str) -> bool:
        """Whether a reading may be the word of these letters, which has the same normalised form as its stem."""
        return True

    def sounds(self, word: str, candidate: Candidate, listed: str) -> bool:
        """Whether the vowels that are written in a word, of which this is a reading, may be those of a listed word."""
        return True

    def joinable(self, before: str, after: str) -> bool:
        """Whether a word between these two may be an "or" that joins them, and no noun beside them."""
        return False

    def is_word(self, written: str, wanted: str) -> bool:
        """Whether a written word is `wanted` in some spelling, whole or with clitics taken off; no lexicon is asked."""
        same, letters = self.normalise(wanted), self.letters(wanted)
        return any(
            self.normalise(reading.stem) == same and self.fits(reading, letters)
            for reading in self.candidates(written)
        )


def visible(word: str) -> str:
    """A word without its invisible characters; before NFKC, which composes what they stand between."""
    return word.translate(_UNSEEN)


@cache
def _pattern(joiners: str) -> re.Pattern[str]:
    """A letter or digit, then letters, digits and marks; `joiners` count only between two of these.

    `\\w` alone would cut a vocalised Arabic word at every diacritic, because combining marks are not in it.
    """
    marks = "".join(c for c in map(chr, range(0x20000)) if unicodedata.category(c) in ("Mn", "Mc"))
    run = rf"[^\W_](?:[^\W_]|[{re.escape(marks + INVISIBLE)}])*"
    return re.compile(rf"{run}(?:[{re.escape(joiners)}]{run})*" if joiners else run)
