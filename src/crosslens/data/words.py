"""Words with their character spans, and the forms under which a written word may be looked up.

Nothing here rewrites a caption: spans are spans of the text as given, and normalised forms serve matching only.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import NamedTuple

ARTICLE = "ال"
TATWEEL = "\u0640"
_INVISIBLE = "\u00ad\u200c\u200d"
"""Soft hyphen and the zero-width (non-)joiners: inside a word they are typography, not letters."""
_ALEFS = str.maketrans(
    {"أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ى": "ي", "ی": "ي", "ئ": "ي", "ؤ": "و", "ک": "ك"}
)
_ENGLISH_JOINERS = "'’‐‑-"
_ENGLISH_ENDING = re.compile(r"'(?:s|d|m|ll|re|ve)?$")

ME = "ني"
"""The one object suffix that nouns do not take."""
PRONOUNS = ("ه", "ها", "هما", "هم", "هن", "ي", ME, "ك", "كما", "كم", "كن", "نا")
"""Arabic possessive and object suffixes."""
ACCUSATIVE = "ا"
"""The alif that carries the accusative tanwin of an indefinite masculine noun."""
PREPOSITIONS = frozenset(("ب", "ل", "ك"))
QUESTION = "أ"
"""The particle that makes a question; before the article it is no letter of its own (آلرجل)."""
PREFIXES = (QUESTION, "و", "ف", "ب", "ل", "ك", "س", ARTICLE)
SUFFIXES = (ACCUSATIVE, *PRONOUNS)


class Word(NamedTuple):
    """One word as written, at `text[start:end]`."""

    text: str
    start: int
    end: int


class Candidate(NamedTuple):
    """One reading of a written word."""

    stem: str
    """What is left, as written but without diacritics and tatweel; `normalise_arabic` or casefolded to compare."""
    prefixes: tuple[str, ...]
    """The proclitics that this reading takes off, outermost first; the article is its own element."""
    suffix: str
    """The enclitic that this reading takes off, or the empty string."""


@cache
def _pattern(joiners: str) -> re.Pattern[str]:
    """A letter or digit, then letters, digits and marks; `joiners` count only between two of these.

    `\\w` alone would cut a vocalised Arabic word at every diacritic, because combining marks are not in it.
    """
    marks = "".join(c for c in map(chr, range(0x20000)) if unicodedata.category(c) in ("Mn", "Mc"))
    run = rf"[^\W_](?:[^\W_]|[{re.escape(marks + _INVISIBLE)}])*"
    return re.compile(rf"{run}(?:[{re.escape(joiners)}]{run})*" if joiners else run)


def words(text: str, language: str = "") -> list[Word]:
    """The words of `text` in order. In English an inner apostrophe or hyphen joins ("man-made" is one word)."""
    pattern = _pattern(_ENGLISH_JOINERS if language == "en" else "")
    return [Word(match.group(), match.start(), match.end()) for match in pattern.finditer(text)]


def strip_marks(word: str) -> str:
    """An Arabic word without diacritics, tatweel and invisible joiners; letters stay as written.

    Hamza and madda that belong to a letter are letters here, not marks: they compose under NFKC first.
    """
    composed = unicodedata.normalize("NFKC", word)
    return "".join(
        c for c in composed if c != TATWEEL and c not in _INVISIBLE and unicodedata.category(c) != "Mn"
    )


def normalise_arabic(word: str) -> str:
    """The form under which spellings of one Arabic word are equal, for matching only.

    Diacritics and tatweel go, the alef and hamza-carrier forms and ya/alef maqsura fall together; ta marbuta stays
    apart from ha, because it tells ممرضة (a nurse) from ممرضه (his nurse).
    """
    return strip_marks(word).translate(_ALEFS)


def normalise(word: str, language: str) -> str:
    """The form in which words of `language` are compared: Arabic as above, any other NFKC and casefolded."""
    if language == "ar":
        return normalise_arabic(word)
    folded = unicodedata.normalize("NFKC", word).casefold().replace("’", "'").replace("‐", "-")
    return "".join(c for c in folded if c not in _INVISIBLE)


def _prefix_readings() -> Iterator[tuple[str, tuple[str, ...]]]:
    for question, conjunction, (written, clitics) in product(
        ("", QUESTION),
        ("", "و", "ف"),
        (
            ("", ()),
            ("ب", ("ب",)),
            ("ل", ("ل",)),
            ("ك", ("ك",)),
            ("س", ("س",)),
            ("ال", (ARTICLE,)),
            ("بال", ("ب", ARTICLE)),
            ("كال", ("ك", ARTICLE)),
            ("لل", ("ل", ARTICLE)),
        ),
    ):
        if not (question and not conjunction and clitics[:1] == (ARTICLE,)):
            outer = tuple(particle for particle in (question, conjunction) if particle)
            yield question + conjunction + written, outer + clitics


_PREFIX_READINGS = tuple(sorted(_prefix_readings(), key=lambda reading: len(reading[0])))
MIN_STEM = 2
"""Letters that a stem has at least: أم, أب, هو."""


def arabic_candidates(word: str) -> list[Candidate]:
    """Every reading of an Arabic word as prefixes + stem + suffix, the longest stem first, the whole word foremost.

    Which readings are words is the lexicon's to say. A noun with the article takes neither a possessive suffix nor the
    accusative alif, and behind a preposition no noun takes the latter (كاميرا is a camera, not "like a prince"). The
    article is written with a bare alif (so آلام "pains" is not the أم "mother"), and a ت before a pronoun may be an
    opened ta marbuta (ابنتها is ابنة + ها). Of three ل two are written: للغة is also ل + ال + لغة.
    """
    bare = strip_marks(word)
    found = []
    for written, prefixes in _PREFIX_READINGS:
        if not bare.startswith(written) or len(bare) - len(written) < MIN_STEM:
            continue
        rest = bare[len(written) :]
        found.append(Candidate(rest, prefixes, ""))
        if ARTICLE in prefixes:
            if prefixes[-2:] == ("ل", ARTICLE):
                found.append(Candidate("ل" + rest, prefixes, ""))
            continue
        for suffix in SUFFIXES:
            stem = rest.removesuffix(suffix)
            if stem == rest or len(stem) < MIN_STEM:
                continue
            if suffix == ACCUSATIVE and not PREPOSITIONS.isdisjoint(prefixes):
                continue
            found.append(Candidate(stem, prefixes, suffix))
            if stem.endswith("ت") and suffix not in (ACCUSATIVE, ME):
                found.append(Candidate(stem[:-1] + "ة", prefixes, suffix))
    return sorted(found, key=lambda candidate: -len(candidate.stem))


def plain_candidates(word: str, language: str) -> list[Candidate]:
    """Readings of a word of any other language: as written; in English also without 's, and a compound's last part.

    The head of an English compound is its last part: an ex-wife is a wife, a man-made lake is no man.
    """
    folded = normalise(word, language)
    forms = [folded]
    if language == "en":
        forms.append(_ENGLISH_ENDING.sub("", folded))
        forms.append(re.split(r"[-‑]", forms[-1])[-1])
    return [Candidate(form, (), "") for form in dict.fromkeys(forms) if form]


def candidates(word: str, language: str) -> list[Candidate]:
    """The readings of a written word, the most literal first."""
    return arabic_candidates(word) if language == "ar" else plain_candidates(word, language)
