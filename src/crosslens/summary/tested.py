"""What a test that found nothing says: that nothing is there, or nothing at all."""

from typing import Any

Record = dict[str, Any]


def decided(record: Record) -> bool:
    """Whether a record, after `claims.claimed`, says something, found or not: tested, of data that could have been claimed."""
    return record["q"] is not None and record["reachable"]


def untested(record: Record, units: str) -> str | None:
    """Why a record of a family says nothing, in words that follow "not tested, because"; None where it is `decided`.

    Nothing was tested, or of so few `units` (of which, in words) that the plainest data could not have been claimed.
    """
    if decided(record):
        return None
    if record["q"] is None:
        return record.get("because") or f"there are too few {units}"
    return f"with so few {units} no result could be claimed beside the study's other claims"
