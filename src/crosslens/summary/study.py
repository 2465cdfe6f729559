"""All layers of a study as one document: their records, and the tests that are corrected over all of them."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from crosslens.errors import InputError
from crosslens.summary.agreement import agreement_records
from crosslens.summary.claims import claimed
from crosslens.summary.names import site_order
from crosslens.summary.reading import Document
from crosslens.summary.stereotype import CLAIMED, stereotype_records
from crosslens.tables.documents import write_json

HEADER = {"schema", "kind", "site"}


def study_summary(
    *,
    layers: dict[str, Path],
    level: float,
    out: Path,
    stereotype: Path | None = None,
    agreement: Mapping[str, Path] = MappingProxyType({}),
) -> None:
    """Gather the records of `layers`, by depth, into `out`, JSON of kind `summary`: each names its `site`.

    layers: site -> JSON of kind layer. stereotype, and agreement by language: of these kinds, which are of no layer. level: of
    significance. Records with a `q_family` get `q`, None where nothing was tested, and `claims` says what follows (see
    summary.claims). Raises InputError where a file is missing or of another layer.
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
    if stereotype is not None:
        told = stereotype_records(stereotype)
        gathered |= {name: told[name] for name in CLAIMED}
    if agreement:
        gathered["agreement"] = agreement_records(agreement)
    document = {"sites": sites, "level": level, "claims": claimed(gathered, level), "records": gathered}
    write_json(out, "summary", document)
