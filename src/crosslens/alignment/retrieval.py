"""Does a caption find its translation? Retrieval and CKA between two languages' captions of the same images."""

import logging
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crosslens.alignment.cka import cka_with_null
from crosslens.errors import InputError
from crosslens.pooling.images import ImageTable, by_image
from crosslens.pooling.languages import described, open_languages
from crosslens.pooling.pool import pool_activations
from crosslens.stats.nulls import null_band
from crosslens.stats.resampling import bootstrap_weights, stream
from crosslens.tables.activations import Activations
from crosslens.tables.documents import read_table, write_json
from crosslens.tables.tokens import TokenTable, read_tokens

log = logging.getLogger(__name__)

CUTOFFS = (1, 5)
BOOTSTRAPS = 1000
SHUFFLES = 99
TIE = 1e-12
"""Cosines this close are one value: what float64 products resolve."""


def caption_retrieval(
    *,
    datasets: dict[str, Path],
    tokens: dict[str, list[Path]],
    activations: dict[str, list[Path]],
    seed: int,
    out: Path,
    max_images: int = 5000,
) -> None:
    """Find each test image's caption in the other language by the cosine of mean-pooled caption activations.

    Keys of the three mappings are the languages. Whole captions, label words kept; an image with several captions is
    their mean; of more than `max_images` images a seeded sample is taken. Writes JSON of kind retrieval, for every
    pair of languages: see `compare`. Raises InputError for activations of different sites or models and for
    languages without test images in common.
    """
    stored = open_languages(datasets, tokens, activations)
    languages = list(stored)
    pooled, dropped, sinks = {}, {}, {}
    for language in languages:
        pooled[language], dropped[language], sinks[language] = _pool(
            stored[language], read_tokens(tokens[language]), read_table(datasets[language], "dataset")
        )
    texts = {language: _texts(datasets[language]) for language in languages}
    results = []
    for pair in combinations(languages, 2):
        rng = stream(seed, "retrieval", *pair)
        tests, common = _common([pooled[language]["test"] for language in pair], max_images, rng)
        means = [pooled[language]["train"].values.mean(axis=0) for language in pair]
        ids = tests[0].image_ids
        results.append(
            {
                "languages": list(pair),
                "images": len(ids),
                "images_in_common": common,
                "dropped_samples": [dropped[language] for language in pair],
                "sinks": [sinks[language] for language in pair],
                "same_text": [
                    int(texts[language].reindex(ids).duplicated(keep=False).sum()) for language in pair
                ],
            }
            | compare(*(table.values for table in tests), means=means, languages=pair, rng=rng)
        )
        log.info("%s: %s", pair, results[-1]["retrieval"][0]["r1"])
    document = {
        **described(stored),
        "seed": seed,
        "unit": "image",
        "split": "test",
        "pooled": "mean over the caption's tokens, label words kept, sinks left out",
        "similarity": "cosine; `centred`: each language minus the mean of its own train images",
        "bootstraps": BOOTSTRAPS,
        "shuffles": SHUFFLES,
        "max_images": max_images,
        "pairs": results,
    }
    write_json(out, "retrieval", document)


def _pool(
    stored: Activations, table: TokenTable, samples: pd.DataFrame
) -> tuple[dict[str, ImageTable], int, int]:
    """Images of `train` and `test`, the samples that have no caption token, and the tokens left out as sinks."""
    tables, dropped, sinks = {}, 0, 0
    for split in ("train", "test"):
        part = samples[samples["split"] == split]
        pooled = pool_activations(stored, table, part, condition="caption", mask_labels=False)
        tables[split] = by_image(pooled.values, pooled.sample_ids, part)
        dropped += len(pooled.dropped)
        sinks += pooled.sinks
        if not len(tables[split]):
            raise InputError(
                stored.paths[0],
                found=f"no {split} image with a caption token",
                expected="images to compare",
                mend="read captions in this study, or leave retrieval out",
            )
    return tables, dropped, sinks


def _texts(dataset: Path) -> pd.Series:
    """All captions of each image as one text, by image id."""
    samples = read_table(dataset, "dataset", ["image_id", "caption"])
    return samples.groupby("image_id")["caption"].agg("\n".join)


def _common(
    tables: list[ImageTable], max_images: int, rng: np.random.Generator
) -> tuple[list[ImageTable], int]:
    """The images that both have, in one order, at most `max_images` of them; and how many there are."""
    both, i, j = np.intersect1d(*(table.image_ids for table in tables), return_indices=True)
    if not len(both):
        raise InputError(
            "datasets",
            found="no test image in common",
            expected="captions of the same images",
            mend="use one dataset whose rows carry both languages",
        )
    kept = np.sort(rng.permutation(len(both))[:max_images])
    return [tables[0].rows(i[kept]), tables[1].rows(j[kept])], len(both)


def compare(
    first: np.ndarray,
    second: np.ndarray,
    *,
    means: list[np.ndarray],
    languages: tuple[str, str],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """`retrieval` in both directions, centred and not, `chance` of its scores, and `cka`.

    first (n, d), second (n, d): row i of both is the same image; means: what centring takes off each. `r1` and `r5`: the
    share of images whose counterpart is among the first 1 and 5; `mrr`: mean of 1 / rank. CI: 95 %, query images
    resampled against all candidates. CKA is of the same rows, its null the same rows with the pairs shuffled.
    """
    weights = bootstrap_weights(np.zeros(len(first)), BOOTSTRAPS, rng) / len(first)
    found = []
    for centred in (True, False):
        sides = [side - mean if centred else side for side, mean in zip((first, second), means, strict=True)]
        for source, target in ((0, 1), (1, 0)):
            rank = ranks(sides[source], sides[target])
            found.append(
                {"source": languages[source], "target": languages[target], "centred": centred}
                | {name: _with_interval(score, weights) for name, score in _scores(rank).items()}
            )
    cka = cka_with_null(first, second, draws=SHUFFLES, rng=rng)
    return {
        "retrieval": found,
        "chance": {
            name: float(score.mean()) for name, score in _scores(np.arange(1, len(first) + 1)).items()
        },
        "cka": {
            name: {
                "value": value if np.isfinite(value) else None,
                "null": null_band(null, value, tails=1),
            }
            for name, (value, null) in cka.items()
        },
    }


def ranks(queries: np.ndarray, candidates: np.ndarray, *, rows: int = 1024) -> np.ndarray:
    """(n) float64 rank of candidate i for query i by cosine, 1 the best; candidates tied with it count half.

    queries (n, d), candidates (n, d). Memory: `rows` × n similarities at a time.
    """
    # In float64: under one dominant channel all cosines are nearly 1.
    queries, candidates = _unit(queries.astype(np.float64)), _unit(candidates.astype(np.float64))
    found = np.empty(len(queries))
    for start in range(0, len(queries), rows):
        block = queries[start : start + rows] @ candidates.T
        own = block[np.arange(len(block)), start + np.arange(len(block))][:, None]
        above, tied = (block > own + TIE).sum(axis=1), (np.abs(block - own) <= TIE).sum(axis=1) - 1
        found[start : start + rows] = 1 + above + tied / 2
    return found


def _unit(values: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.where(norms > 0, norms, 1)


def _scores(rank: np.ndarray) -> dict[str, np.ndarray]:
    """Name -> (n) what each query scores."""
    return {f"r{cutoff}": (rank <= cutoff).astype(np.float64) for cutoff in CUTOFFS} | {"mrr": 1 / rank}


def _with_interval(score: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    low, high = np.quantile(score @ weights, [0.025, 0.975])
    return {"value": float(score.mean()), "low": float(low), "high": float(high)}
