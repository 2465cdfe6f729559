"""What the stages on two languages write for drawn images, with the gender direction as like as asked for."""

from pathlib import Path

import numpy as np

from crosslens.alignment import retrieval
from crosslens.gender.transfer import METHODS, Language, transfer
from crosslens.pooling.images import ImageTable
from crosslens.tables.documents import write_json

WIDTH = 10


def write_transfer(
    path: Path,
    *,
    site: str,
    shared: float,
    size: float = 2.0,
    conditions=("caption",),
    images: int = 120,
    tested: int | None = None,
    per_person: int = 1,
    french: float | None = None,
) -> Path:
    """kind gender_transfer; the directions of the two languages have cosine `shared`, gender the length `size`.
    tested: test images, else as many as train images. per_person: images of one person. french: the cosine of a third
    language's with the first, which alone it is compared with."""
    rng = np.random.default_rng(int(site.partition(".")[0]))
    english = np.eye(WIDTH)[0]
    directions = {"en": english} | {
        language: english * cosine + np.eye(WIDTH)[place] * np.sqrt(1 - cosine**2)
        for place, (language, cosine) in enumerate({"ar": shared, "fr": french}.items(), 1)
        if cosine is not None
    }
    pairs = [("en", language) for language in directions if language != "en"]
    found = {}
    for condition in conditions:
        gendered = 3 * size if condition == "caption_whole" else size
        pooled = {}
        for language, direction in directions.items():
            sizes = {"train": images, "test": tested or images}
            tables = [_images(split, gendered * direction, n, rng, per_person) for split, n in sizes.items()]
            pooled[language] = Language(*tables, dropped={"train": 3, "test": 1 if language == "ar" else 0})
        told = transfer(pooled, pairs=pairs, permutations=999, seed=0, name=condition)
        found[condition] = {"lexical": condition == "caption_whole"} | told
    write_json(path, "gender_transfer", {"site": site, "methods": METHODS, "conditions": found})
    return path


def _images(
    split: str, direction: np.ndarray, images: int, rng: np.random.Generator, per_person: int = 1
) -> ImageTable:
    gender = np.array(["female", "male"], dtype=object)[np.arange(images) % 2]
    values = rng.normal(size=(images, WIDTH)) + (gender == "female")[:, None] * direction
    ids = np.array([f"{split}{i:03d}" for i in range(images)], dtype=object)
    person = np.array([f"{split}{i % 2}/{i // 2 // per_person}" for i in range(images)], dtype=object)
    return ImageTable(values, ids, gender, np.full(images, "", dtype=object), person)


def write_retrieval(
    path: Path,
    *,
    site: str,
    shared: float,
    images: int = 80,
    alone: float | None = None,
    french: float | None = None,
) -> Path:
    """kind retrieval; `shared` is the size of what the captions of an image share. alone: of a study with pictures, the size
    of what captions share without them; behind them the prompt has what the captions share. french: the size of what a
    third language shares with the first."""
    rng = np.random.default_rng(int(site.partition(".")[0]))
    sizes = {"ar": shared, "fr": french}
    pairs = [
        _pair(("en", language), size, images, alone, rng)
        for language, size in sizes.items()
        if size is not None
    ]
    write_json(path, "retrieval", {"site": site, "pairs": pairs})
    return path


def _pair(
    languages: tuple[str, str], shared: float, images: int, alone: float | None, rng: np.random.Generator
) -> dict:
    common = shared * rng.normal(size=(images, WIDTH))
    sizes = {"caption": shared} | ({} if alone is None else {"alone": alone, "prompt": shared})
    ids = np.arange(images).astype(str).astype(object)
    sides = {
        language: {
            read: retrieval.Sides(
                np.zeros(WIDTH),
                ImageTable(
                    (size / shared if shared else 1) * common + rng.normal(size=(images, WIDTH)),
                    ids,
                    ids,
                    ids,
                ),
            )
            for read, size in sizes.items()
        }
        for language in languages
    }
    told = retrieval.compare(sides, rng=rng)
    pair = {
        "languages": list(languages),
        "images": images,
        "units": images,
        "same_text": [0, 2],
        "dropped_samples": [0, 0],
    }
    return pair | told
