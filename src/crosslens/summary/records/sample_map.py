"""How far the maps of samples can be trusted, and whether neighbours share what is coloured."""

from crosslens.summary.reading import Document
from crosslens.summary.records.base import Files, Record


def records(files: Files) -> dict[str, list[Record]]:
    """`maps`: one record a method; `neighbours`: one a label among the activations themselves, the family of tests."""
    maps, neighbours = [], []
    for folder in files["sample_map"].values():
        doc = Document(folder / "map.json", "sample_map")
        of = {"site": doc("site"), "condition": doc("condition")}
        shared = {name: doc(name) for name in ("images", "points", "neighbours", "kept")}
        maps += [
            of | shared | {name: row[name] for name in ("method", "trustworthiness")} for row in doc("maps")
        ]
        neighbours += [
            of
            | {
                name: row[name]
                for name in ("label", "points", "values", "share", "mean", "q025", "q975", "p", "least_p")
            }
            | {"q_family": None if row["p"] is None else "neighbours"}
            for row in doc("labels")
            if row["space"] == "activations"
        ]
    return {"maps": maps, "neighbours": neighbours}
