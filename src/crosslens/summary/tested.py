"""What a test that found nothing says: that nothing is there, or nothing at all."""

from typing import Any

Record = dict[str, Any]


def untested(record: Record, level: float, units: str) -> str | None:
    """Why a record of a family says nothing, in words that follow "not tested, because"; None where it says something.

    Nothing was tested, or of so few `units` (of which, in words) that the plainest data could not have been claimed
    (`reachable`). What is found needs no such reason.
    """
    if record["q"] is None:
        return record.get("because") or f"there are too few {units}"
    if record["q"] <= level or record["reachable"]:
        return None
    return f"with so few {units} no result could be claimed beside the study's other claims"
