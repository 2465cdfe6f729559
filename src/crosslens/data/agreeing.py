"""Words that agree with a person: without them a caption's label words are not all that tells the gender."""

from collections.abc import Iterator, Sequence

from crosslens.data.languages import language_of
from crosslens.data.languages.base import Language, Word

Span = tuple[int, int]


def agreeing_spans(texts: Sequence[str], language: str) -> list[list[Span]]:
    """(start, end) of the words of each text that have a form for the other gender which the texts have as well.

    The forms are those of `Language.agreement`, compared normalised and without proclitics; which of a pair is whose does
    not matter, nor what the word agrees with (a red car is masked like a tired woman): what is masked too much tells
    nothing. A word whose counterpart no text has stays. Nothing in a language without such forms.
    """
    spoken = language_of(language)
    if not spoken.agreement:
        return [[] for _ in texts]
    words = [spoken.words(text) for text in texts]
    forms = {word.text: list(_forms(word, spoken)) for found in words for word in found}
    known = {form for of_word in forms.values() for form in of_word}
    agree = {
        word for word, of_word in forms.items() if any(_counterpart(form, known, spoken) for form in of_word)
    }
    return [[(word.start, word.end) for word in found if word.text in agree] for found in words]


def _forms(word: Word, language: Language) -> Iterator[str]:
    """What is left of a word without its proclitics, and without an ending that changes with its case alone."""
    for reading in language.candidates(word.text):
        if not reading.suffix or reading.suffix in language.case_endings:
            yield language.normalise(reading.stem)


def _counterpart(form: str, known: set[str], language: Language) -> bool:
    """Whether the form has one of the other gender among those known."""
    for own, other, shortest in language.agreement:
        stem = own.stem_of(form)
        if stem is not None and len(stem) >= shortest and other.of(stem) in known:
            return True
    return False


def merged(*spans: Sequence[Span]) -> list[Span]:
    """All spans in order, those that overlap as one."""
    found: list[Span] = []
    for start, end in sorted({span for some in spans for span in some}):
        if found and start < found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found
