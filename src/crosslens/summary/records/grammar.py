"""Features that tell the person's gender, and features that tell the noun's."""

from typing import Any

from crosslens.summary.reading import Document, split_key
from crosslens.summary.records.base import Files, Record, check_records


def records(files: Files) -> dict[str, list[Record]]:
    """`grammar`: one an SAE and language. p, of the number of grammatical features, is one of a family."""
    found = []
    for key, folder in files["grammar"].items():
        corpus, language = split_key(key)
        doc = Document(folder / "grammar.json", "grammar")
        grammatical = doc("grammatical")
        test = {name: grammatical["null"][name] for name in ("p", "least_p")}
        found.append(
            {"corpus": corpus, "language": language}
            | {
                name: doc(name)
                for name in ("site", "sae", "morphology", "semantic", "grammatical", "classes")
            }
            | test
            | {"q_family": None if test["p"] is None else "grammar"}
        )
    return {"grammar": found}


def check(summary: dict[str, Any]) -> None:
    """The SAEs whose quality was measured."""
    check_records(summary, "grammar")
