"""What several analyses' records share."""

from pathlib import Path
from typing import Any

from crosslens.errors import InputError

Files = dict[str, dict[str, Path]]
"""Kind -> key -> file or folder."""
Record = dict[str, Any]


def bounds(name: str, score: dict[str, float] | None) -> dict[str, float | None]:
    """`value`, `low` and `high` of a score as `{name}`, `{name}_low` and `{name}_high`; None without a score."""
    score = score or {"value": None, "low": None, "high": None}
    return {name: score["value"], f"{name}_low": score["low"], f"{name}_high": score["high"]}


def independent(units: dict[str, int]) -> int:
    """Groups of known gender, of `ImageTable.units`: one that shows both genders is one."""
    return units["female"] + units["male"] - units["pairs"]


def larger(nulls: dict[str, dict[str, Any]]) -> dict[str, float | None]:
    """`p` and `least_p` of what has to be beyond several nulls: the larger of each; None where one has none."""
    return {
        name: None if None in (some := [null[name] for null in nulls.values()]) else max(some)
        for name in ("p", "least_p")
    }


def expect(where: str, what: str, value: Any, expected: Any) -> None:
    """Raise InputError unless the value is the expected one."""
    if value != expected:
        raise InputError(
            where,
            found=f"{what} {value}",
            expected=str(expected),
            mend="rebuild the files of this layer from one run",
        )


def check_records(summary: dict[str, Any], name: str) -> None:
    """That records of SAEs and languages are of this site and of the SAE whose quality was measured."""
    saes = {record["corpus"]: record["sae"] for record in summary.get("saes", [])}
    for record in summary[name]:
        where = f"{name} of {record['corpus']}/{record['language']} at {summary['site']}"
        expect(where, "site", record["site"], summary["site"])
        if record["sae"] is not None:
            expect(where, "the SAE's digest", record["sae"], saes.get(record["corpus"]))


def check_pairs(summary: dict[str, Any], name: str) -> None:
    """That records of two languages are of this site."""
    for record in summary[name]:
        where = f"{name} from {record['source']} to {record['target']} at {summary['site']}"
        expect(where, "site", record["site"], summary["site"])


def equal_among_languages(what: str, records: list[Record], group, value) -> None:
    """Raise InputError where `value` of a record, unless it is None, differs within a `group`."""
    seen: dict[Any, tuple[str, Any]] = {}
    for record in records:
        if value(record) is None:
            continue
        language, number = seen.setdefault(group(record), (record["language"], value(record)))
        if number != value(record):
            raise InputError(
                f"{record['corpus']}/{record['language']}",
                found=f"{value(record)} {what}",
                expected=f"{number}, as in {language}",
                mend="rebuild the activations of both languages from one dataset",
            )
