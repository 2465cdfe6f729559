"""All layers of a study as one document: their records, and the tests that are corrected over all of them."""

from pathlib import Path
from typing import Any

from crosslens.errors import InputError
from crosslens.stats.fdr import benjamini_hochberg
from crosslens.summary.claims import claimed
from crosslens.summary.names import site_order
from crosslens.summary.reading import Document
from crosslens.tables.documents import write_json

HEADER = {"schema", "kind", "site"}


def study_summary(*, layers: dict[str, Path], level: float, out: Path) -> None:
    """Gather the records of `layers`, by depth, into `out`, JSON of kind `summary`: each names its `site`.

    layers: site -> JSON of kind layer. level: of significance. Records with a `q_family` get `q`: Benjamini-Hochberg over
    all of that family and list; None where nothing was tested. `claims` says what follows (see summary.claims).
    Raises InputError where a file is missing or of another layer.
    """
    if not layers:
        raise InputError(
            "layers", found="none", expected="at least one layer's summary", mend="name its path"
        )
    gathered: dict[str, list[dict[str, Any]]] = {}
    sites = sorted(layers, key=site_order)
    for site in sites:
        layer = Document(layers[site], "layer")
        if layer("site") != site:
            raise InputError(
                layer.path,
                found=f"the summary of {layer('site')}",
                expected=site,
                mend="name the right file",
            )
        for name, records in layer.fields.items():
            if name not in HEADER:
                gathered.setdefault(name, []).extend({**record, "site": site} for record in records)
    for records in gathered.values():
        correct(records)
    document = {"sites": sites, "level": level, "claims": claimed(gathered, level), "records": gathered}
    write_json(out, "summary", document)


def correct(records: list[dict[str, Any]]) -> None:
    """Give each record with a `q_family` its `q` among those of the family."""
    families: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        if "q_family" in record:
            record["q"] = None
            if record["q_family"] is not None:
                families.setdefault(record["q_family"], []).append(record)
    for family in families.values():
        for record, q in zip(family, benjamini_hochberg([record["p"] for record in family]), strict=True):
            record["q"] = float(q)
