"""Choosing tokens by what they are: their text, their word, their position or their role."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from crosslens.data.languages import language_of
from crosslens.errors import InputError
from crosslens.tables.roles import ROLES


@dataclass(frozen=True)
class Selection:
    """The tokens of `roles` that one of the others names; all tokens of `roles` where no other names any."""

    text: tuple[str, ...] = ()
    """Tokens by their characters, without spaces around them, or as the vocabulary has them."""
    words: tuple[str, ...] = ()
    """All tokens of these words, each found as the language's `is_word` has it: رجل also in وَللرَّجُلِ."""
    positions: tuple[int, ...] = ()
    """Among the sample's tokens of `roles`: from 0, or from the end with -1 as the last."""
    roles: tuple[str, ...] = ()
    """Of crosslens.tables.tokens.ROLES; none stands for all."""

    def __post_init__(self):
        if unknown := set(self.roles) - set(ROLES):
            raise _unusable("roles", ", ".join(sorted(unknown)), f"some of {', '.join(ROLES)}")
        for word in self.words:
            if len(word.split()) != 1:
                raise _unusable("words", repr(word), "one word an entry")

    def __bool__(self) -> bool:
        """Whether it names anything: a selection that does not stands for all tokens."""
        return any(asdict(self).values())

    def __str__(self) -> str:
        named = [f"{name} {', '.join(map(str, value))}" for name, value in asdict(self).items() if value]
        return "; ".join(named) or "all tokens"


def selection(settings: Mapping[str, Any]) -> Selection:
    """A Selection from the settings of a study; InputError for a key or a value that is not one of its own."""
    known = {field.name for field in fields(Selection)}
    if unknown := set(settings) - known:
        raise _unusable(sorted(unknown)[0], "this key", f"one of {', '.join(sorted(known))}")
    for name, value in settings.items():
        kind = int if name == "positions" else str
        if not isinstance(value, list | tuple) or not all(type(entry) is kind for entry in value):
            raise _unusable(name, repr(value), f"a list of {'whole numbers' if kind is int else 'texts'}")
    return Selection(**{name: tuple(value) for name, value in settings.items()})


class Choice(NamedTuple):
    """What a selection finds in one sample."""

    mask: np.ndarray
    """(T) bool: the chosen tokens."""
    found: set[tuple[str, Any]]
    """The texts, words and positions that are there, each with the name of its field."""


def choose(table: pd.DataFrame, select: Selection) -> Choice:
    """The chosen ones of one sample's tokens, given as `describe` makes them.

    Raises InputError, naming the text and the selection, where there is none.
    """
    eligible = table["role"].isin(select.roles or ROLES).to_numpy()
    matches = _matches(table, eligible, select)
    chosen = np.logical_or.reduce(list(matches.values())) if matches else eligible
    if not chosen.any():
        raise InputError(
            f"sample {table['sample'].iloc[0]}",
            found=f"no token for the selection ({select}) in {_told(table)!r}",
            expected="at least one in every text",
            mend="correct the selection, or leave the text out",
        )
    return Choice(chosen, {criterion for criterion, mask in matches.items() if mask.any()})


def check_all_found(select: Selection, found: set[tuple[str, Any]], samples: int) -> None:
    """InputError for a text, word or position that no sample has: `found` in any of so many."""
    named = [(name, value) for name in ("text", "words", "positions") for value in getattr(select, name)]
    if missing := [criterion for criterion in named if criterion not in found]:
        name, value = missing[0]
        raise InputError(
            f"selection, {name}",
            found=f"{value!r} in none of the {samples} texts",
            expected="what is in at least one text, among the tokens of the roles that are named",
            mend="correct the selection",
        )


def _matches(
    table: pd.DataFrame, eligible: np.ndarray, select: Selection
) -> dict[tuple[str, Any], np.ndarray]:
    """(T) bool of each text, word and position."""
    spoken = language_of(table["language"].iloc[0])
    stripped = table["text"].str.strip()
    places = np.flatnonzero(eligible)
    found = {}
    for text in select.text:
        same = (table["token"] == text) | ((stripped == text.strip()) & (stripped != ""))
        found["text", text] = same.to_numpy() & eligible
    for wanted in select.words:
        same = [any(spoken.is_word(word, wanted) for word in written) for written in table["words"]]
        found["words", wanted] = np.array(same) & eligible
    for position in select.positions:
        mask = np.zeros(len(table), dtype=bool)
        if -len(places) <= position < len(places):
            mask[places[position]] = True
        found["positions", position] = mask
    return found


def _told(table: pd.DataFrame) -> str:
    # byte-level tokens of one character have the same place
    placed = table[table["text"] != ""].drop_duplicates(["role", "char_start", "char_end"])
    text = "".join(placed["text"] if len(placed) else table["token"])
    return text if len(text) <= 80 else text[:79] + "…"


def _unusable(key: str, found: str, expected: str) -> InputError:
    return InputError(
        f"selection, {key}", found=found, expected=expected, mend="correct `select:` of the tokens to inspect"
    )
