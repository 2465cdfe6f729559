"""One layer's summary: the headline numbers of all corpora and languages in one document."""

from pathlib import Path
from typing import Any

from crosslens.registry import member, names
from crosslens.summary.records.base import Files
from crosslens.tables.documents import write_json

RECORDS = "crosslens.summary.records"


def base_of(kind: str) -> str:
    """The kind that this one is the like of: what is made of the model's own captions has the records of the others."""
    return kind.removeprefix("written_")


def layer_summary(*, site: str, files: Files, out: Path) -> None:
    """Flatten the analyses of `site` into `out`, JSON of kind `layer`, after checking them against each other.

    files: kind -> key -> path of what was measured; kinds without a member of summary.records are left out. The
    document has the lists of flat records that the members make; what was not measured is None, or an absent list.
    Raises InputError where a file or field is missing and where the numbers contradict each other.
    """
    known = names(RECORDS)
    members = {kind: member(RECORDS, base_of(kind)) for kind in files if base_of(kind) in known}
    summary: dict[str, Any] = {"site": site}
    for kind, analysis in members.items():
        for name, records in analysis.records(files | {base_of(kind): files[kind]}).items():
            summary.setdefault(name, []).extend(records)
    for analysis in dict.fromkeys(members.values()):
        if hasattr(analysis, "check"):
            analysis.check(summary)
    write_json(out, "layer", summary)
