"""Lexicon files: which words of a language tell a person's gender, and what they may stand with.

A lexicon is a YAML file: a header (`schema`, `kind: gender_lexicon`, `language`, and for the reader `description`,
`sources`, `licence`, `left_out`), `groups`, and `phrases`.
A group has `female` and `male` words and, where the language has clitics, the `prefixes` and `suffixes` that its words
may carry. `before_a_name: true` says that they count with a capital letter and in front of another capital only (Miss
Brown), `in_questions: false` that bare, in a question or between two words alike, they are something else (أم is "or").
`phrases` has `female`, `male` and `neutral` lists of words that together are one: the wife of the father is one woman,
and the Isle of Man is no man. Where a language leaves its vowels out, a word that is listed with them is not the one
that a text writes with others (رَجُل is a man, and رِجل a leg).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from crosslens.data.languages import language_of
from crosslens.data.languages.base import Candidate, Language
from crosslens.errors import InputError

_HEADER = {"schema", "kind", "language", "description", "sources", "licence", "left_out", "groups", "phrases"}
_GROUP = {"name", "prefixes", "suffixes", "female", "male", "before_a_name", "in_questions"}
_PHRASES = ("female", "male", "neutral")


@dataclass(frozen=True)
class Entry:
    """A lexicon word, the clitics that it may carry, and where it counts."""

    letters: str
    gender: str
    prefixes: frozenset[str]
    suffixes: frozenset[str]
    before_a_name: bool = False
    in_questions: bool = True
    written: str = ""
    """As listed, with the vowels that it is told by."""

    def allows(self, word: str, candidate: Candidate, language: Language) -> bool:
        """Whether this reading of a written word is this entry."""
        if not self.prefixes.issuperset(candidate.prefixes):
            return False
        if candidate.suffix and candidate.suffix not in self.suffixes:
            return False
        return language.fits(candidate, self.letters) and language.sounds(word, candidate, self.written)


class Phrase(NamedTuple):
    """Words that are one when they stand together."""

    forms: tuple[str, ...]
    """Normalised."""
    gender: str | None
    """None for a phrase that tells nothing."""


@dataclass(frozen=True)
class Lexicon:
    """Gendered words of one language, indexed by their normalised form."""

    language: str
    entries: Mapping[str, tuple[Entry, ...]]
    name: str = ""
    phrases: Mapping[str, tuple[Phrase, ...]] = field(default_factory=dict)
    """By their first form, the longest first."""
    _known: dict[str, Entry | None] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return sum(map(len, self.entries.values()))

    def entry_of(self, word: str) -> Entry | None:
        """The entry of which a written word, clitics and all, is a form."""
        if word not in self._known:
            self._known[word] = self._look_up(word)
        return self._known[word]

    def gender_of(self, word: str) -> str | None:
        """`female`, `male`, or None for a word that tells neither, wherever it stands."""
        entry = self.entry_of(word)
        return entry and entry.gender

    def _look_up(self, word: str) -> Entry | None:
        language = language_of(self.language)
        for candidate in language.candidates(word):
            for entry in self.entries.get(language.normalise(candidate.stem), ()):
                if entry.allows(word, candidate, language):
                    return entry
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
    groups = document.get("groups")
    if not isinstance(groups, list) or not groups:
        raise _lexicon_error(path, "no groups", "a list of groups with female and male words")
    return Lexicon(
        document["language"],
        _entries(path, groups, spoken),
        path.name,
        _phrases(path, document.get("phrases") or {}, spoken),
    )


def _entries(path: Path, groups: list[Any], language: Language) -> dict[str, tuple[Entry, ...]]:
    """The words of all groups by their normalised form."""
    entries: dict[str, dict[str, Entry]] = {}
    for group in groups:
        for entry in _group_entries(path, group, language):
            listed = entries.setdefault(language.normalise(entry.letters), {})
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
    return {form: tuple(listed.values()) for form, listed in entries.items()}


def _group_entries(path: Path, group: Any, language: Language) -> list[Entry]:
    if not isinstance(group, dict):
        raise _lexicon_error(path, f"group {group!r}", "a mapping with female and male words")
    name = group.get("name", "without a name")
    _check_keys(path, group, _GROUP, f"group {name}")
    clitics = {}
    for key, known in (("prefixes", language.prefixes), ("suffixes", language.enclitics)):
        clitics[key] = frozenset(_texts(path, group, key, f"group {name}"))
        if unknown := sorted(clitics[key] - set(known)):
            expected = f"of {' '.join(known)}" if known else f"none: {language.name} has none"
            raise _lexicon_error(path, f"{key} {' '.join(unknown)} in group {name}", expected)
    where = {key: group[key] for key in ("before_a_name", "in_questions") if key in group}
    for key, value in where.items():
        if not isinstance(value, bool):
            raise _lexicon_error(path, f"{key}: {value!r} in group {name}", "true or false")
    return [
        Entry(language.letters(written), gender, **clitics, **where, written=written)
        for gender in ("female", "male")
        for written in _written(path, group, gender, name)
    ]


def _written(path: Path, mapping: dict, key: str, where: str) -> list[str]:
    """The words of one list."""
    words = [written.strip() for written in _texts(path, mapping, key, where)]
    if not all(words):
        raise _lexicon_error(path, f"an empty word among the {key} words of {where}", "words")
    return words


def _texts(path: Path, mapping: dict, key: str, where: str) -> list[str]:
    """One list of texts, empty where the key is not there."""
    texts = [] if (found := mapping.get(key)) is None else found
    if not isinstance(texts, list):
        raise _lexicon_error(path, f"{key}: {found!r} in {where}", "a list of quoted words")
    for text in texts:
        if not isinstance(text, str):
            raise _lexicon_error(path, f"{text!r} among the {key} of {where}", "quoted words")
    return texts


def _phrases(path: Path, phrases: Any, language: Language) -> dict[str, tuple[Phrase, ...]]:
    """The phrases by their first form, the longest first."""
    if not isinstance(phrases, dict):
        raise _lexicon_error(path, f"phrases {phrases!r}", "a mapping with female, male and neutral phrases")
    _check_keys(path, phrases, set(_PHRASES), "phrases")
    listed: dict[str, dict[tuple[str, ...], str | None]] = {}
    for key in _PHRASES:
        gender = None if key == "neutral" else key
        for written in _written(path, phrases, key, "phrases"):
            forms = tuple(language.normalise(word.text) for word in language.words(written))
            if not forms:
                raise _lexicon_error(path, f"{written!r} among the {key} phrases", "words")
            if listed.setdefault(forms[0], {}).setdefault(forms, gender) != gender:
                raise _lexicon_error(path, f"{written!r} as two kinds of phrase", "one")
    return {
        first: tuple(Phrase(forms, of[forms]) for forms in sorted(of, key=len, reverse=True))
        for first, of in listed.items()
    }


def _check_keys(path: Path, mapping: dict, known: set[str], where: str) -> None:
    if unknown := sorted(map(str, set(mapping) - known)):
        raise _lexicon_error(path, f"key {', '.join(unknown)} in {where}", f"of {', '.join(sorted(known))}")


def _lexicon_error(path: Path, found: str, expected: str) -> InputError:
    return InputError(path, found=found, expected=expected, mend="correct the lexicon file")
