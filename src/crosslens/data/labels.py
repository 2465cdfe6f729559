"""Which words of a text tell a person's gender, and the label that they add up to. Whole words only.

A lexicon is a YAML file: a header (`schema`, `kind: gender_lexicon`, `language`, and for the reader `description`,
`sources`, `licence`, `left_out`) and `groups`, each with `female` and `male` lists and, where the language has clitics,
the `prefixes` and `suffixes` that its words may carry.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from crosslens.data.languages import language_of
from crosslens.data.languages.base import Candidate, Language
from crosslens.errors import InputError

GENDERS = ("female", "male", "unknown")
_HEADER = {"schema", "kind", "language", "description", "sources", "licence", "left_out", "groups"}
_GROUP = {"name", "prefixes", "suffixes", "female", "male"}


class GenderCounts(NamedTuple):
    """Counted words of one text."""

    female: int
    male: int
    words: int
    """All words, gendered or not: the denominator of a rate."""


@dataclass(frozen=True)
class Entry:
    """A lexicon word and the clitics that it may carry."""

    letters: str
    gender: str
    prefixes: frozenset[str]
    suffixes: frozenset[str]

    def allows(self, candidate: Candidate, language: Language) -> bool:
        """Whether this reading of a written word is this entry."""
        if not self.prefixes.issuperset(candidate.prefixes):
            return False
        if candidate.suffix and candidate.suffix not in self.suffixes:
            return False
        return language.fits(candidate, self.letters)


@dataclass(frozen=True)
class Lexicon:
    """Gendered words of one language, indexed by their normalised form."""

    language: str
    entries: Mapping[str, tuple[Entry, ...]]
    name: str = ""
    _known: dict[str, str | None] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return sum(map(len, self.entries.values()))

    def gender_of(self, word: str) -> str | None:
        """`female`, `male`, or None for a word that tells neither; `word` as written, clitics and all."""
        if word not in self._known:
            self._known[word] = self._look_up(word)
        return self._known[word]

    def _look_up(self, word: str) -> str | None:
        language = language_of(self.language)
        for candidate in language.candidates(word):
            for entry in self.entries.get(language.normalise(candidate.stem), ()):
                if entry.allows(candidate, language):
                    return entry.gender
        return None


def load_lexicon(path: Path, language: str | None = None) -> Lexicon:
    """Read a lexicon file. Raises InputError on an unknown key, clitic or language, or a word listed in both genders."""
    path = Path(path)
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(
            path,
            found=f"{type(error).__name__}: {' '.join(str(error).split())}",
            expected="a UTF-8 YAML lexicon",
            mend="name one of the files of resources/lexicons, or write yours like them",
        ) from error
    if not isinstance(document, dict) or (document.get("schema"), document.get("kind")) != (
        1,
        "gender_lexicon",
    ):
        raise _lexicon_error(path, "another header", "schema: 1 and kind: gender_lexicon")
    _check_keys(path, document, _HEADER, "the file")
    if not isinstance(document.get("language"), str):
        raise _lexicon_error(path, f"language {document.get('language')!r}", "a quoted language code")
    if language is not None and document["language"] != language:
        raise InputError(
            path,
            found=f"a lexicon of language {document['language']!r}",
            expected=f"one of language {language!r}",
            mend="give each language its own lexicon",
        )
    spoken = language_of(document["language"])
    entries: dict[str, dict[str, Entry]] = {}
    groups = document.get("groups")
    if not isinstance(groups, list) or not groups:
        raise _lexicon_error(path, "no groups", "a list of groups with female and male words")
    for group in groups:
        for entry in _group_entries(path, group, spoken):
            listed = entries.setdefault(spoken.normalise(entry.letters), {})
            same = listed.setdefault(entry.letters, entry)
            if same.gender != entry.gender:
                raise _lexicon_error(path, f"{entry.letters!r} as female and as male", "one gender a word")
            if same is not entry and same != entry:
                raise _lexicon_error(path, f"{entry.letters!r} in two groups", "each word once")
    for form, listed in entries.items():
        if len({entry.gender for entry in listed.values()}) > 1:
            raise _lexicon_error(
                path, f"{', '.join(listed)} of both genders, all matched as {form!r}", "one gender a form"
            )
    return Lexicon(
        document["language"], {form: tuple(listed.values()) for form, listed in entries.items()}, path.name
    )


def _group_entries(path: Path, group: Any, language: Language) -> list[Entry]:
    if not isinstance(group, dict):
        raise _lexicon_error(path, f"group {group!r}", "a mapping with female and male words")
    name = group.get("name", "without a name")
    _check_keys(path, group, _GROUP, f"group {name}")
    clitics = {}
    for key, known in (("prefixes", language.prefixes), ("suffixes", language.enclitics)):
        clitics[key] = frozenset(group.get(key) or ())
        if unknown := sorted(clitics[key] - set(known)):
            expected = f"of {' '.join(known)}" if known else f"none: {language.name} has none"
            raise _lexicon_error(path, f"{key} {' '.join(unknown)} in group {name}", expected)
    found = []
    for gender in ("female", "male"):
        for written in group.get(gender) or ():
            if not isinstance(written, str) or not written.strip():
                raise _lexicon_error(path, f"{written!r} among the {gender} words of {name}", "quoted words")
            found.append(Entry(language.letters(written.strip()), gender, **clitics))
    return found


def _check_keys(path: Path, mapping: dict, known: set[str], where: str) -> None:
    if unknown := sorted(map(str, set(mapping) - known)):
        raise _lexicon_error(path, f"key {', '.join(unknown)} in {where}", f"of {', '.join(sorted(known))}")


def _lexicon_error(path: Path, found: str, expected: str) -> InputError:
    return InputError(path, found=found, expected=expected, mend="correct the lexicon file")


def find_gendered(
    text: str, language: str, lexicon: Lexicon
) -> tuple[list[tuple[int, int, str]], GenderCounts]:
    """`gendered_spans` and `gender_counts` of `text` in one pass over its words."""
    if lexicon.language != language:
        raise ValueError(f"a lexicon of {lexicon.language!r} was given for a text in {language!r}")
    found = language_of(language).words(text)
    spans = [(word.start, word.end, gender) for word in found if (gender := lexicon.gender_of(word.text))]
    female = sum(gender == "female" for _, _, gender in spans)
    return spans, GenderCounts(female, len(spans) - female, len(found))


def gendered_spans(text: str, language: str, lexicon: Lexicon) -> list[tuple[int, int, str]]:
    """(start, end, gender) of every gendered word, clitics included, in order; `text[start:end]` is the word."""
    return find_gendered(text, language, lexicon)[0]


def gender_counts(text: str, language: str, lexicon: Lexicon) -> GenderCounts:
    """Female words, male words and all words of `text`."""
    return find_gendered(text, language, lexicon)[1]


def majority(female: int, male: int) -> str:
    """`female` or `male`, whichever is counted more often; `unknown` in a tie and where there is nothing to count."""
    return "unknown" if female == male else "female" if female > male else "male"


def label(text: str, language: str, lexicon: Lexicon) -> str:
    """What the majority of the gendered words of `text` says: `female`, `male` or `unknown`."""
    counts = gender_counts(text, language, lexicon)
    return majority(counts.female, counts.male)
