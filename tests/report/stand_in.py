"""What a section reads of results, where a test makes no files: the methods are the real ones."""

from types import SimpleNamespace
from typing import Any

from crosslens.report.sections.base import Results
from crosslens.report.words import PICTURES


class StandIn(SimpleNamespace):
    """`records`, name -> records after `claimed`, and whatever else the section reads."""

    untested, tested, reasons = Results.untested, Results.tested, Results.reasons
    controlled, _controls, by_place = Results.controlled, Results._controls, Results.by_place

    def __init__(self, records: dict[str, list[dict[str, Any]]], **changed: Any):
        given = {
            "records": lambda name: records.get(name, []),
            "words": {"units": "pictures"} | PICTURES,
            "level": 0.05,
            "shown": lambda *names: " ".join(names),
            "files": {},
            "corrected": lambda name, family: f"Corrected {name} {family}.",
        }
        super().__init__(**given | changed)
