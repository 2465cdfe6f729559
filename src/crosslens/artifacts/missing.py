"""Artifacts of a study that a store has lost while what was made from them is still there."""

from collections.abc import Callable, Iterable

from crosslens.artifacts.kinds import Need
from crosslens.artifacts.table import Table


def _closure(table: Table, study: str, reads: Callable[[Need], Iterable[Need]]) -> dict[tuple, Need]:
    """What is summed up for a study, and all that `reads` leads to from there."""
    found: dict[tuple, Need] = {}

    def visit(need: Need) -> None:
        kind, wildcards = need
        if (mark := (kind, *sorted(wildcards.items()))) not in found:
            found[mark] = need
            for read in reads(need):
                visit(read)

    for need in table.at({"study": study}).into("all"):
        visit(need)
    return found


def kept_and_lost(table: Table, study: str, has: Callable[[str], bool]) -> tuple[list[Need], list[Need]]:
    """The artifacts of a study that its plain run shows, and those that it leaves alone.

    has: whether the store holds a key. What is not there is made where something that is asked for lacks it, and only
    there: activations may be removed to save their space once the SAEs are trained.
    """

    def there(need: Need) -> bool:
        return has(table.key(*need))

    def made_from(need: Need) -> Iterable[Need]:
        kind, wildcards = need
        return (
            filter(there, table.needs(*need))
            if there(need)
            else table.inputs(table.kinds[kind].by, wildcards)
        )

    asked = _closure(table, study, made_from)
    others = [
        need
        for mark, need in _closure(table, study, lambda need: table.reads(need)).items()
        if mark not in asked
    ]
    return [*asked.values(), *filter(there, others)], [need for need in others if not there(need)]
