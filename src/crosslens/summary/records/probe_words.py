"""What the words that a condition leaves tell of the gender."""

from pathlib import Path
from typing import Any

from crosslens.summary.reading import Document
from crosslens.summary.records.base import Files, Record, bounds


def records(files: Files) -> dict[str, list[Record]]:
    """`words`: as `words_records`."""
    return {"words": words_records(files["probe_words"])}


def words_records(paths: dict[str, Path]) -> list[dict[str, Any]]:
    """One record per language and condition, the same at every site: the bag of words, whether it leaks, words masked."""
    records = []
    for language, path in paths.items():
        doc = Document(path, "probe")
        for condition in doc("conditions"):
            record = {"language": language, "condition": condition}
            record |= bounds("auroc", doc("conditions", condition, "auroc"))
            record |= {
                name: doc("conditions", condition, name) for name in ("p", "leaks", "masked", "because")
            }
            records.append(record)
    return records
