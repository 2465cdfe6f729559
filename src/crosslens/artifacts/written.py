"""The condition `generated`: what is made of given captions, made of those that the model writes itself as well."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from crosslens.artifacts.kinds import At, Kind, Need, Wildcards, wildcards_of

GENERATED = "generated"
PREFIX = "written_"
"""Of the kind that is `written` of another."""


class Written(At):
    """A place among the model's own captions: what it needs is that which was made of them, where there is such a kind."""

    def moved(self, **more: str) -> "Written":
        return Written(self.table, self.wildcards | more)

    def need(self, kind: str, *names: str, **more: str) -> Need:
        return super().need(self._own(kind), *names, **more)

    def every(self, kind: str, **fixed: str) -> list[Need]:
        return super().every(self._own(kind), **fixed)

    def _own(self, kind: str) -> str:
        return PREFIX + kind if PREFIX + kind in self.table.kinds else kind


def writes(at: At) -> bool:
    """Whether the model's own captions are a condition of the study. A control's model writes what the study's own does."""
    asked = at.study.has_gender and GENERATED in at.settings["gender"]["conditions"]
    return asked and not at.study.control


def conditions_of(at: At) -> list[str]:
    """The study's conditions of gender that are read off the captions which the place is about: given ones, or the model's."""
    asked = at.settings["gender"]["conditions"]
    return [name for name in asked if (name == GENERATED) == isinstance(at, Written)]


def written(kind: Kind, **changes: Any) -> Kind:
    """The kind once more, of the model's own captions."""

    def there(at: At) -> Written:
        return Written(at.table, at.wildcards)

    def needs(at: At) -> Iterator[Need]:
        yield from kind.needs(there(at))

    def every(at: At) -> Iterator[Wildcards]:
        yield from kind.every(at) if writes(at) else ()

    name = PREFIX + kind.name
    own = {
        "name": name,
        "like": kind.like or kind.role or kind.name,
        # A job makes it beside the other.
        "called": kind.called or "/".join([name, *(f"{{{of}}}" for of in wildcards_of(kind.path)[1:])]),
        "path": kind.path.replace("{language}", "{language}/written", 1),
        "function": kind.function or kind.by,
        "params": lambda at: kind.params(there(at)),
        "needs": needs,
        "every": every,
        "amount": lambda at, reading: kind.amount(there(at), reading),
    }
    return replace(kind, **own | changes)
