"""A study in three languages with everything on: planted pictures, and beside their English and Arabic captions English read
backwards, a language with its own words for the same."""

import csv
from pathlib import Path

import yaml
from checkouts import TOY, Checkout

from crosslens.planted.source import draw_source

BACKWARDS = "qaa"
"""Of the codes that ISO 639 leaves to everybody."""
PAIRS = [["en", "ar"], ["ar", BACKWARDS]]
"""Not each with the first: what the study names."""
STUDY = {
    **TOY,
    "languages": ["en", "ar", BACKWARDS],
    "pairs": PAIRS,
    "source": {"captions": "data/three/captions.csv", "images": "data/three/images"},
    "prompts": {**TOY["prompts"], BACKWARDS: ".erutcip eht ebircseD"},
    "lexicons": {**TOY["lexicons"], BACKWARDS: "data/three/lexicon.yaml"},
    "mask": "label_words",
    "sites": ["1", "2"],
    "sae": {**TOY["sae"], "corpora": ["joint", "en", "ar", BACKWARDS], "seeds": [0, 1], "sites": ["2"]},
    "gender": {**TOY["gender"], "permutations": 759, "transfer_permutations": 759},
    "embeddings": {"methods": ["pca"], "permutations": 19},
    "geometry": {"permutations": 19},
    "describe": {"features": 2, "examples": 2, "held_out": 5},
}
PAGE = "results/three/report/index.html"


def lay_three(checkout: Checkout, images: int = 100) -> None:
    """The study `three` and its files."""
    folder = checkout.folder / "data/three"
    draw_source(folder, images=images, seed=7)
    table = folder / "captions.csv"
    with table.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        row[f"{BACKWARDS}_caption"] = row["english_prompt"][::-1]
    with table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    write_lexicon(checkout.folder / TOY["lexicons"]["en"], folder / "lexicon.yaml")
    checkout.configure("three", STUDY)


def write_lexicon(english: Path, out: Path) -> None:
    """The lexicon of English, its words backwards."""
    document = yaml.safe_load(english.read_text(encoding="utf-8"))
    for group in document["groups"]:
        for gender in ("female", "male"):
            group[gender] = [word[::-1] for word in group[gender]]
    out.write_text(yaml.safe_dump(document | {"language": BACKWARDS}), encoding="utf-8")
