"""Linear probes of gender on raw activations."""

from crosslens.summary.records.base import Files, Record
from crosslens.summary.records.probe_codes import check, probe_records

__all__ = ["check", "records"]


def records(files: Files) -> dict[str, list[Record]]:
    """`probes`: as those of codes, with `activations` for the corpus."""
    return {
        "probes": probe_records(
            {f"activations/{language}": path for language, path in files["probe_activations"].items()}
        )
    }
