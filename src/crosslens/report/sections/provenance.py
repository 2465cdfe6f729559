"""Where it all comes from: the study's settings, the model, the digest of every SAE, and the version of crosslens."""

from importlib.metadata import version
from typing import Any

from crosslens.report.numbers import number
from crosslens.report.sections.base import Results, Section
from crosslens.report.table import Column, table, text
from crosslens.summary.names import corpus_name, site_name

ORDER = 1000


def section(results: Results) -> Section:
    """Every study comes from somewhere."""
    pairs: list[tuple[str, Any]] = [("study", results.study), ("crosslens", version("crosslens"))]
    pairs += [(f"model: {name}", _value(value)) for name, value in results.source.items()]
    pairs += [(name, value) for key, part in results.settings.items() for name, value in _flat(key, part)]
    digests = {(record["site"], record["corpus"]): record["sae"] for record in results.records("saes")}
    pairs += [
        (f"{corpus_name(corpus)}, {site_name(site)}: sha256", digest)
        for (site, corpus), digest in digests.items()
    ]
    rows = [{"name": name, "value": value} for name, value in pairs]
    columns = [text("", "name", "row"), Column("", _shown)]
    body = [table("provenance", columns, rows, label="Provenance")]
    return Section("provenance", "Provenance", "Where it comes from", body)


def _shown(row: dict[str, Any]) -> Any:
    return row["value"] if isinstance(row["value"], str) else number(row["value"])


def _flat(name: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        return [row for key, part in value.items() for row in _flat(f"{name}.{key}", part)]
    return [(name, _value(value))]


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_value(part) for part in value) or "none"
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
