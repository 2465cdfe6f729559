"""Which words of a text tell a person's gender, and the label that they add up to. Whole words only."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from crosslens.data.languages import language_of
from crosslens.data.languages.base import Language, Word
from crosslens.data.lexicons import Entry, Lexicon, Phrase

_SENTENCE = re.compile(r"[.!?؟\n]")
_QUESTION = "?؟"
_INSIDE = re.compile(r"[\s/()'’‐‑–-]*")
"""What may stand between two words of a phrase, and between the words that (s)he is."""
_BEFORE_A_NAME = re.compile(r"\.?\s+")


class GenderCounts(NamedTuple):
    """Counted words of one text."""

    female: int
    male: int
    words: int
    """All words, gendered or not: the denominator of a rate."""


def find_gendered(
    text: str, language: str, lexicon: Lexicon
) -> tuple[list[tuple[int, int, str]], GenderCounts]:
    """`gendered_spans` and `gender_counts` of `text` in one pass over its words."""
    if lexicon.language != language:
        raise ValueError(f"a lexicon of {lexicon.language!r} was given for a text in {language!r}")
    spoken = language_of(language)
    words = spoken.words(text)
    spans: list[tuple[int, int, str]] = []
    index = 0
    while index < len(words):
        phrase = _phrase_at(text, words, index, lexicon, spoken)
        if phrase is not None:
            last = index + len(phrase.forms) - 1
            if phrase.gender:
                spans.append((words[index].start, words[last].end, phrase.gender))
            index = last + 1
            continue
        entry = lexicon.entry_of(words[index].text)
        if entry is not None and _counts_here(entry, text, words, index, spoken, lexicon):
            spans.append((words[index].start, words[index].end, entry.gender))
        index += 1
    female = sum(gender == "female" for _, _, gender in spans)
    return spans, GenderCounts(female, len(spans) - female, len(words))


def _phrase_at(
    text: str, words: Sequence[Word], index: int, lexicon: Lexicon, language: Language
) -> Phrase | None:
    """The longest phrase of the lexicon that begins with this word."""
    if not lexicon.phrases:
        return None
    for first in _forms(words[index], language):
        for phrase in lexicon.phrases.get(first, ()):
            rest = words[index + 1 : index + len(phrase.forms)]
            together = len(rest) == len(phrase.forms) - 1 and all(
                _INSIDE.fullmatch(text[before.end : after.start])
                for before, after in zip(words[index:], rest, strict=False)
            )
            if together and all(
                form in _forms(word, language) for form, word in zip(phrase.forms[1:], rest, strict=True)
            ):
                return phrase
    return None


def _forms(word: Word, language: Language) -> list[str]:
    """What a word of a phrase may be: as written, and without proclitics or ending."""
    readings = language.candidates(word.text)
    return [
        language.normalise(word.text),
        *(language.normalise(reading.stem) for reading in readings if not reading.suffix),
    ]


def _counts_here(
    entry: Entry, text: str, words: Sequence[Word], index: int, language: Language, lexicon: Lexicon
) -> bool:
    """Whether an entry's word tells a gender where it stands."""
    word = words[index]
    if entry.before_a_name:
        following = words[index + 1] if index + 1 < len(words) else None
        return (
            following is not None
            and word.text[0].isupper()
            and following.text[0].isupper()
            and _BEFORE_A_NAME.fullmatch(text[word.end : following.start]) is not None
        )
    return (
        entry.in_questions
        or language.normalise(word.text) != language.normalise(entry.letters)  # no "or" with a clitic
        or not (_is_asked(text, words, index, language) or _joins(text, words, index, lexicon, language))
    )


def _joins(text: str, words: Sequence[Word], index: int, lexicon: Lexicon, language: Language) -> bool:
    """Whether a word stands between two that are alike: "a boy or a girl", "a car or a lorry", of which it is the "or"."""
    if not 0 < index < len(words) - 1:
        return False
    before, word, after = words[index - 1 : index + 2]
    if (text[before.end : word.start] + text[word.end : after.start]).strip():
        return False
    gendered = all(lexicon.entry_of(beside.text) is not None for beside in (before, after))
    return gendered or language.joinable(before.text, after.text)


def _is_asked(text: str, words: Sequence[Word], index: int, language: Language) -> bool:
    """Whether a word's sentence ends in a question mark, or has a word before it that asks."""
    word = words[index]
    end = _SENTENCE.search(text, word.end)
    if end is not None and end.group() in _QUESTION:
        return True
    start = max((mark.end() for mark in _SENTENCE.finditer(text, 0, word.start)), default=0)
    return any(
        language.normalise(before.text) in language.asking
        for before in words[:index]
        if before.start >= start
    )


def gendered_spans(text: str, language: str, lexicon: Lexicon) -> list[tuple[int, int, str]]:
    """(start, end, gender) of every gendered word or phrase, clitics included, in order; `text[start:end]` is it."""
    return find_gendered(text, language, lexicon)[0]


def gender_counts(text: str, language: str, lexicon: Lexicon) -> GenderCounts:
    """Female words, male words and all words of `text`; a phrase tells its gender once."""
    return find_gendered(text, language, lexicon)[1]


def majority(female: int, male: int) -> str:
    """`female` or `male`, whichever is counted more often; `unknown` in a tie and where there is nothing to count."""
    return "unknown" if female == male else "female" if female > male else "male"


def label(text: str, language: str, lexicon: Lexicon) -> str:
    """What the majority of the gendered words of `text` says: `female`, `male` or `unknown`."""
    counts = gender_counts(text, language, lexicon)
    return majority(counts.female, counts.male)
