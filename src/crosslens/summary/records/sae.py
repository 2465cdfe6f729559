"""How the trained SAEs of a layer ended; those of others have nothing to tell."""

from crosslens.summary.reading import Document
from crosslens.summary.records.base import Files, Record


def records(files: Files) -> dict[str, list[Record]]:
    """`training`: one record per corpus: what the last logged step of training looked like."""
    training = []
    for corpus, folder in files["sae"].items():
        if not (path := folder / "training.json").is_file():
            continue
        doc = Document(path, "training")
        last = doc("curve")[-1]
        training.append(
            {"corpus": corpus, "identity": doc("identity"), "settings": doc("settings")}
            | {name: last[name] for name in ("step", "tokens", "loss", "fvu", "l0", "dead")}
            | {"sinks": doc("sinks")}
        )
    return {"training": training}
