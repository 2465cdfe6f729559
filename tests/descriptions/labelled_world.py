"""Two languages whose features fire on words that are known: what a label should say is planted."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from world import Token, World, tokens_of, write_corpus, write_dense_codes

from crosslens.features.statistics import feature_statistics
from crosslens.tables.documents import write_json

SAE = "d" * 64
WORDS = {
    "en": ["cat", "Dog", "house", "tree", "river", "red", "blue", "old", "runs", "sleeps", "sings", "big"],
    "ar": ["قطة", "كلب", "بيت", "شجرة", "نهر", "أحمر", "أزرق", "قديم", "يجري", "ينام", "يغني", "كبير"],
}
CAT, RED_HOUSE, RANDOM, EVERYWHERE, ENGLISH, PROMPT, RARE = range(7)
"""Features: on "cat", behind "red house", on a word at random in 4 of 10 texts, on the first word of each text, on "dog" in
English alone, on the prompt, in three texts."""
SPLITS = ("train", "select", "test", "select")
PROMOTED = {CAT: {"promoted": [" kitten", "kitten", "قطة", "\n"], "suppressed": ["dog"]}}
"""Tokens of features; all others have none. One is there twice but for a space, and one nobody sees."""


def write_world(folder: Path, *, n: int = 240, seed: int = 0, role: str = "caption") -> World:
    """n texts a language, one an image: two words in a prompt, six to nine in the text, whose tokens have that role."""
    return World({language: _corpus(folder, language, n, seed, role) for language in WORDS})


def _corpus(folder: Path, language: str, n: int, seed: int, role: str):
    rng = np.random.default_rng([seed, *language.encode()])
    words, rows, samples, codes = WORDS[language], [], {}, []
    prompt = [Token("prompt", 0, 3), Token("prompt", 4, 6)]
    for i in range(n):
        text = [str(word) for word in rng.choice(words, rng.integers(6, 10))]
        if rng.random() < 0.4:
            place = rng.integers(0, len(text) - 1)
            text[place : place + 2] = [words[5], words[2]]
        sample = f"p{i:03d}#0"
        samples[sample] = [*prompt, *tokens_of(role, text)]
        fires = np.zeros((len(text), 8), dtype=np.float32)
        for j, word in enumerate(text):
            fires[j, CAT] = 3 * (word == words[0])
            fires[j, RED_HOUSE] = 2 * (j > 0 and text[j - 1 : j + 1] == [words[5], words[2]])
            fires[j, ENGLISH] = 2 * (language == "en" and word == words[1])
        fires[0, EVERYWHERE] = 5
        fires[rng.integers(len(text)), RANDOM] = 2 * (rng.random() < 0.4)
        fires[0, RARE] = i in (1, 2, 3)
        codes += [np.eye(8, dtype=np.float32)[[PROMPT, PROMPT]], fires * rng.uniform(0.8, 1.2)]
        rows.append(
            {"sample_id": sample, "image_id": f"p{i:03d}", "row": i + 1, "caption": " ".join(text)}
            | {"prompt": "say it", "gender": "unknown", "gender_source": "none", "category": "", "image": ""}
            | {"image_sha256": "", "split": SPLITS[i % 4], "label_spans": "[]"}
        )
    dense = np.concatenate(codes).astype(np.float32)
    corpus = write_corpus(folder, pd.DataFrame(rows), samples, np.ones((len(dense), 2)), language=language)
    corpus.codes = folder / f"{language}_codes.zarr"
    write_dense_codes(corpus.codes, dense, sae=SAE, roles=("prompt", role), language=language)
    return corpus


def write_statistics(folder: Path, world: World) -> dict[str, Path]:
    """The per-feature table of each language."""
    tables = {}
    for language, corpus in world.items():
        tables[language] = folder / f"{language}_features.parquet"
        feature_statistics(
            dataset=corpus.dataset,
            tokens=corpus.tokens,
            codes=corpus.codes,
            language=language,
            top_examples=1,
            permutations=5,
            out_table=tables[language],
            out=folder / f"{language}_rankings.json",
        )
    return tables


def write_gender(path: Path, *features: int, sae: str = SAE) -> Path:
    """A document of gender effects that names these as most female."""
    side: dict[str, Any] = {"top_female": [{"feature": feature} for feature in features], "top_male": []}
    write_json(path, "gender", {"sae": sae, "conditions": {"caption": side}})
    return path
