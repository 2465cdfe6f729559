"""How far the maps of decoder rows can be trusted."""

from crosslens.summary.reading import Document
from crosslens.summary.records.base import Files, Record


def records(files: Files) -> dict[str, list[Record]]:
    """`decoder_maps`: one record an SAE and method."""
    found = []
    for corpus, folder in files["decoder_map"].items():
        doc = Document(folder / "map.json", "decoder_map")
        of = {"corpus": corpus} | {name: doc(name) for name in ("site", "sae", "d_sae", "kept")}
        found += [of | {name: row[name] for name in ("method", "trustworthiness")} for row in doc("maps")]
    return {"decoder_maps": found}
