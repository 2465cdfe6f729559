"""The bag of words: how well the words that a condition leaves unmasked tell the gender, without any model.

What a probe, a transfer or an effect finds is about the model only beyond this. A condition whose words tell the gender is
called leaking.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from crosslens.data.masked import masked_words
from crosslens.gender.probes import probe_conditions, write_probe
from crosslens.pooling.images import ImageTable, by_image
from crosslens.pooling.pool import CONDITIONS
from crosslens.tables.documents import read_table

WHOLE = "_whole"
"""Ends the name of a condition with the words that are masked in it: how much masking takes."""


def measure_words(
    *, dataset: Path, language: str, conditions: list[str], alpha: float, seed: int, out: Path
) -> None:
    """Probe the words that each condition leaves to be pooled; see `probe`. Writes JSON of kind probe.

    A sample's row is how often each word occurs in its text, words as they are compared (capitals, spellings); an image's
    is the mean of its samples'. Words that train lacks are not read. `leaks`: the words tell the gender, p <= alpha; None
    where nothing was tested, as of prompts that are all the same. `masked`: words of all samples that the condition leaves
    out. In a causal model the tokens that are pooled have read the masked words before them: these words have not.
    """
    samples = read_table(dataset, "dataset")
    known: dict[str, int] = {}
    for row in samples.query("split == 'train'").to_dict("records"):
        for condition in conditions:
            for word in unmasked(row, condition, language):
                known.setdefault(word, len(known))

    def pool(part: pd.DataFrame, condition: str) -> ImageTable:
        texts = [unmasked(row, condition, language) for row in part.to_dict("records")]
        return by_image(counted(texts, known), part["sample_id"].tolist(), part)

    found = probe_conditions(pool, dataset, conditions, seed=seed, language=language)
    rows = samples.to_dict("records")
    for condition, of in found.items():
        of["masked"] = sum(left_out(row, condition, language) for row in rows)
        of["leaks"] = None if of["p"] is None else bool(of["p"] <= alpha)
    identity = {"input": "words", "width": len(known), "language": language, "alpha": alpha}
    write_probe(out, identity, seed, found)


def unmasked(row: dict[str, Any], condition: str, language: str) -> list[str]:
    """The words of a row of the dataset that a condition pools over, normalised."""
    if condition.endswith(WHOLE):
        return unmasked(row | {"label_spans": "[]"}, condition.removesuffix(WHOLE), language)
    words: list[str] = []
    for role in CONDITIONS[condition]:
        # texts that the model wrote are in the place of captions
        prompt = role == "prompt"
        spans = [] if prompt else json.loads(row["label_spans"])
        words += masked_words(row["prompt" if prompt else "caption"], spans, language)
    return words


def left_out(row: dict[str, Any], condition: str, language: str) -> int:
    """How many words of a row of the dataset a condition masks."""
    whole = unmasked(row | {"label_spans": "[]"}, condition, language)
    return len(whole) - len(unmasked(row, condition, language))


def counted(texts: Sequence[Sequence[str]], known: dict[str, int]) -> csr_array:
    """(n, words) float64: how often each known word occurs in each text."""
    cells = [
        (row, known[word], number)
        for row, text in enumerate(texts)
        for word, number in Counter(text).items()
        if word in known
    ]
    rows, columns, values = np.array(cells, dtype=np.int64).reshape(-1, 3).T
    return csr_array((values.astype(np.float64), (rows, columns)), shape=(len(texts), len(known)))
