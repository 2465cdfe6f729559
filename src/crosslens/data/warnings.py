"""What a reader must know of a data set before any number made of it: it can be used, but not for all that it looks like."""

import math
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from crosslens.data.csv_table import is_hidden
from crosslens.data.languages import language_of

FEW = 10
"""Below so many of a gender in test little can be told."""
COPIED = 0.5
"""Two columns are called copies from this share of equal captions on."""

PLACEHOLDERS = frozenset(
    {
        *(
            "nan",
            "null",
            "none",
            "nil",
            "n/a",
            "na",
            "#n/a",
            "<na>",
            "nat",
            "undefined",
            "missing",
            "todo",
            "tbd",
        ),
        *("...", "…", "-", "--", "—", "?", "."),
    }
)
"""What programs and people write where there is no text, in small letters."""
SHOWN = 5
"""Rows that a warning names."""


class Warned(NamedTuple):
    """One warning."""

    code: str
    message: str
    """For a reader of the page: what is so, and what follows from it."""
    languages: list[str]
    """Those it is about; empty: it is about all."""


def data_warnings(
    captions: Mapping[str, Sequence[str]],
    *,
    genders: Sequence[tuple[str, str]] | None,
    hits: Mapping[str, int],
    tested: Sequence[tuple[str, str]],
    unit: str,
) -> list[Warned]:
    """All that hold, what concerns the captions first.

    captions: language -> caption of each row. genders: (image, gender) of each image, once or more; None where no gender
    is asked for. hits: language -> rows with a word of its lexicon, or one that the source marks; empty without
    either. tested: (group, gender) of the
    images of test. unit: what an image is called, "picture", "text" or "prompt".
    """
    found = [*_equal(captions), *_placeholders(captions), *_copied(captions), *_other_letters(captions)]
    if genders is not None:
        known = Counter(gender for _, gender in set(genders) if gender != "unknown")
        found += [*_lexicons(captions, hits), *_one_gender(known, unit)]
        if len(known) == 2:
            found += _few_of_each(tested, unit)
    else:
        found += _few(len({group for group, _ in tested}), unit)
    return found


def smallest_p(female: int, male: int, pairs: int = 0) -> float:
    """The least two-sided p of a test that exchanges labels: 2 / C(female + male, female), with pairs 2 / 2^pairs.

    pairs: groups that have both genders, where all are such: their labels are exchanged within.
    """
    arrangements = 2**pairs if pairs else math.comb(female + male, female)
    return min(1.0, 2 / arrangements)


def _equal(captions: Mapping[str, Sequence[str]]) -> Iterator[Warned]:
    for language, texts in captions.items():
        if len(texts) > 1 and len(set(map(_as_seen, texts))) == 1:
            yield Warned(
                "equal_captions",
                f"All {len(texts):,} texts in {_name(language)} are the same: they tell no two samples apart.",
                [language],
            )


def _placeholders(captions: Mapping[str, Sequence[str]]) -> Iterator[Warned]:
    for language, texts in captions.items():
        empty = [i for i, text in enumerate(texts, 1) if text.strip().casefold() in PLACEHOLDERS]
        if empty:
            words = ", ".join(f"{text!r}" for text in sorted({texts[i - 1].strip() for i in empty}))
            rows = ", ".join(map(str, empty[:SHOWN])) + (", …" if len(empty) > SHOWN else "")
            several = len(empty) > 1
            yield Warned(
                "placeholders",
                f"{len(empty):,} text{'s' if several else ''} in {_name(language)} {'are' if several else 'is'} {words} (of the "
                f"rows, counted from 1: {rows}), which tables write where there is no text: read as a caption all the same.",
                [language],
            )


def _copied(captions: Mapping[str, Sequence[str]]) -> Iterator[Warned]:
    for first, second in combinations(captions, 2):
        rows = list(zip(captions[first], captions[second], strict=True))
        same = sum(_as_seen(a) == _as_seen(b) for a, b in rows)
        if rows and same >= COPIED * len(rows):
            yield Warned(
                "identical_languages",
                f"{_name(first)} and {_name(second)} have the same text in {same:,} of {len(rows):,} rows: what agrees "
                "between them there is one text, not two languages.",
                [first, second],
            )


def _other_letters(captions: Mapping[str, Sequence[str]]) -> Iterator[Warned]:
    """Of languages whose letters are known: columns that have changed places, or text in Latin letters."""
    for language, texts in captions.items():
        letters = frozenset(filter(str.isalpha, language_of(language).romanisation))
        strange = sum(letters.isdisjoint(text) for text in texts)
        if letters and texts and strange >= COPIED * len(texts):
            yield Warned(
                "other_letters",
                f"{strange:,} of {len(texts):,} texts in {_name(language)} have no letter of that language: is this the column "
                "of another?",
                [language],
            )


def _lexicons(captions: Mapping[str, Sequence[str]], hits: Mapping[str, int]) -> Iterator[Warned]:
    if not hits:
        yield Warned(
            "no_lexicon",
            "There is no lexicon: no word is masked, so what is read in captions may be words that state the gender; "
            "what counts gendered words (agreement of the languages, stereotypes in generated captions) is left out.",
            [],
        )
    for language, rows in hits.items():
        if not rows:
            yield Warned(
                "no_hits",
                f"What tells the label words of {_name(language)} has no word of its {len(captions[language]):,} captions: "
                "no label word is masked there.",
                [language],
            )


def _one_gender(known: Counter[str], unit: str) -> Iterator[Warned]:
    if not known:
        yield Warned("no_gender", f"No {unit} has a known gender: nothing about gender can be tested.", [])
    elif len(known) == 1:
        ((gender, count),) = known.items()
        yield Warned(
            "one_gender",
            f"All {count:,} {unit}s of known gender are {gender}: genders cannot be compared.",
            [],
        )


def _few_of_each(tested: Sequence[tuple[str, str]], unit: str) -> Iterator[Warned]:
    groups: dict[str, set[str]] = {}
    for group, gender in tested:
        if gender != "unknown":
            groups.setdefault(group, set()).add(gender)
    count = Counter(gender for own in groups.values() for gender in own)
    if min(female := count["female"], male := count["male"]) >= FEW:
        return
    paired = all(len(own) == 2 for own in groups.values())
    p = smallest_p(female, male, pairs=len(groups) if paired else 0)
    yield Warned(
        "small_test",
        f"The test split has {female} female and {male} male {unit}s{' in pairs' if paired and groups else ''} that count "
        f"by themselves: the smallest p that a test can give is {p:.2g}: no test finds anything at a level below that, "
        "and where many are corrected together a finding needs a smaller p still.",
        [],
    )


def _few(units: int, unit: str) -> Iterator[Warned]:
    if units < FEW:
        yield Warned(
            "small_test",
            f"The test split has {units} {unit}{'s' if units != 1 else ''} that count by themselves: numbers measured there "
            "may be much different on others.",
            [],
        )


def _as_seen(text: str) -> str:
    """A text without what makes copies of it differ: capitals, spaces, marks that are not seen, how letters are composed."""
    shown = "".join(character for character in text if character.isspace() or not is_hidden(character))
    return " ".join(unicodedata.normalize("NFC", shown).casefold().split())


def _name(language: str) -> str:
    return language_of(language).name
