"""Of how many directions each language makes use, and whether two languages differ in it."""

from crosslens.geometry.spectrum import SPREAD
from crosslens.summary.reading import Document
from crosslens.summary.records.base import Files, Record

BOUNDS = ("bits_corrected", "bits_low", "bits_high")


def records(files: Files) -> dict[str, list[Record]]:
    """`dimensions`: one a language; `dimension_differences`: one a pair of languages, the family of tests."""
    of, differences = [], []
    for path in files["dimensions"].values():
        doc = Document(path, "dimensions")
        head = {name: doc(name) for name in ("site", "condition", "d_model", "images")}
        of += [
            head
            | {"language": language}
            | {name: doc("of", language, name) for name in ("tokens", *SPREAD, *BOUNDS)}
            for language in doc("languages")
        ]
        differences += [
            # of a t distribution, which has no least
            head | row | {"least_p": 0.0, "q_family": None if row["p"] is None else "dimensions"}
            for row in doc("differences")
        ]
    return {"dimensions": of, "dimension_differences": differences}
