"""The shape of each SAE: the map that encoder and decoder are, and how many clusters its decoder rows have."""

from crosslens.geometry.spectrum import SPREAD
from crosslens.summary.reading import Document
from crosslens.summary.records.base import Files, Record


def records(files: Files) -> dict[str, list[Record]]:
    """`dictionaries`: one an SAE, their clusters a family of tests."""
    found = []
    for corpus, path in files["dictionary"].items():
        doc = Document(path, "dictionary")
        record = {"corpus": corpus} | {name: doc(name) for name in ("site", "sae", "d_model", "d_sae")}
        record |= {name: doc("matrix", name) for name in ("norm", *SPREAD, "positive")}
        clusters, number = doc("clusters"), doc("clusters", "number")
        chosen = next((row for row in clusters["stability"] if row["clusters"] == number), {})
        record |= {"clustered": clusters["features"], "clusters": number}
        record |= {name: chosen.get(name) for name in ("stability", "clouds", "clouds_most")}
        family = None if clusters["p"] is None else "clusters"
        found.append(record | {"p": clusters["p"], "q_family": family})
    return {"dictionaries": found}
