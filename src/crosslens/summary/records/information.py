"""How many bits of gender features tell."""

from typing import Any

from crosslens.summary.reading import Document, split_key
from crosslens.summary.records.base import Files, Record, check_records, independent

TOLD = ("gender_bits", "live", "above", "p", "least_p", "strongest", "sum", "null")


def records(files: Files) -> dict[str, list[Record]]:
    """`information`: one an SAE, language and condition."""
    found = []
    for key, path in files["information"].items():
        corpus, language = split_key(key)
        doc = Document(path, "information")
        for condition, told in doc("conditions").items():
            of = {"corpus": corpus, "language": language, "condition": condition}
            of |= {name: doc(name) for name in ("site", "sae")}
            of |= {name: told[name] for name in ("units", "tested", "because", *TOLD)}
            of["groups"] = independent(told["units"])
            found.append(of | {"q_family": "information" if told["tested"] else None})
    return {"information": found}


def check(summary: dict[str, Any]) -> None:
    """The SAEs whose quality was measured."""
    check_records(summary, "information")
