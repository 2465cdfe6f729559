"""Does a caption find its translation? Retrieval and CKA between two languages' captions of the same images."""

import logging
from dataclasses import dataclass
from itertools import permutations
from math import factorial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crosslens.alignment.cka import cka_difference, cka_with_null
from crosslens.alignment.ranks import FEWEST, PAIRINGS, above, found, rank_all, scores
from crosslens.errors import InputError
from crosslens.pooling.images import ImageTable, by_split
from crosslens.pooling.languages import Pairs, described, open_languages, pairs_among
from crosslens.pooling.pool import pool_activations
from crosslens.stats.nulls import null_band
from crosslens.stats.resampling import bootstrap_weights, stream
from crosslens.stats.shuffles import CKA as SHUFFLES
from crosslens.stats.tested import tested
from crosslens.tables.activations import Activations
from crosslens.tables.alone import read_alone
from crosslens.tables.documents import read_table, write_json
from crosslens.tables.tokens import TokenTable, read_tokens

log = logging.getLogger(__name__)

BOOTSTRAPS = 1000
READ = {
    "caption": "the caption, behind its picture where the study has pictures",
    "alone": "the caption without its picture: what its words alone are",
    "prompt": "the constant prompt behind the picture, looking for captions behind theirs: what the picture alone finds",
}


@dataclass(frozen=True)
class Sides:
    """One language's units in split train, whose mean is what centring takes off, and its images in test."""

    train: np.ndarray
    """(d) mean."""
    test: ImageTable


def caption_retrieval(
    *,
    datasets: dict[str, Path],
    tokens: dict[str, list[Path]],
    activations: dict[str, list[Path]],
    seed: int,
    out: Path,
    alone: dict[str, list[Path]] | None = None,
    max_images: int = 5000,
    pairs: Pairs | None = None,
) -> None:
    """Find each test image's caption in the other language by the cosine of mean-pooled caption activations.

    Keys of the mappings are the languages. Whole captions, label words kept. The unit is a group of images, an image by
    itself where there are none: several captions of an image, and then the images of a group, are their mean, so that what
    nearly says the same is no distractor and no second witness. Of more than `max_images` units a seeded sample is taken.
    alone: of a study with pictures, the captions read without them (kind text_alone); that, and what the constant prompt
    behind the picture finds, is compared too.
    Writes JSON of kind retrieval, for each of `pairs` of languages (None: every two): see `compare`. Raises InputError for
    activations of different sites or models and for languages without test images in common.
    """
    stored = open_languages(datasets, tokens, activations)
    languages = list(stored)
    sides: dict[str, dict[str, Sides]] = {}
    dropped, sinks, texts = {}, {}, {}
    for language in languages:
        samples, table = read_table(datasets[language], "dataset"), read_tokens(tokens[language])
        captions, dropped[language], sinks[language] = _pool(stored[language], table, samples, "caption")
        sides[language] = {"caption": _sides(captions, samples, stored[language].paths[0])}
        if alone:
            sides[language]["alone"] = _alone(alone[language], samples)
            if "prompt" in _roles(table):
                prompts, _, _ = _pool(stored[language], table, samples, "prompt")
                sides[language]["prompt"] = _sides(prompts, samples, stored[language].paths[0])
        texts[language] = samples.groupby("image_id")["caption"].agg("\n".join)
    results = []
    for pair in pairs_among(languages, pairs):
        rng = stream(seed, "retrieval", *pair)
        chosen, common = _common([sides[language] for language in pair], max_images, rng)
        group = common.loc[common.isin(next(iter(chosen[0].values())).test.group)]
        of_units = [texts[language].reindex(group.index).groupby(group).agg("\n".join) for language in pair]
        results.append(
            {
                "languages": list(pair),
                "units": len(of_units[0]),
                "images": len(group),
                "images_in_common": len(common),
                "dropped_samples": [dropped[language] for language in pair],
                "sinks": [sinks[language] for language in pair],
                "same_text": [int(of_pair.duplicated(keep=False).sum()) for of_pair in of_units],
            }
            | compare(dict(zip(pair, chosen, strict=True)), rng=rng)
        )
        log.info("%s: %s", pair, results[-1]["retrieval"][0]["r1"])
    document = {
        **described(stored),
        "seed": seed,
        "unit": "image, or the images of one group",
        "split": "test",
        "read": READ,
        "pooled": "mean over the caption's tokens, label words kept, sinks left out; of `prompt`, over the prompt's",
        "similarity": "cosine; `centred`: each language minus the mean of its own train images",
        "bootstraps": BOOTSTRAPS,
        "shuffles": SHUFFLES,
        "pairings": PAIRINGS,
        "max_images": max_images,
        "pairs": results,
    }
    write_json(out, "retrieval", document)


Pooled = tuple[np.ndarray, list[str]]
"""Means (n, d) of samples, and their ids."""


def _pool(
    stored: Activations, table: TokenTable, samples: pd.DataFrame, condition: str
) -> tuple[Pooled, int, int]:
    """Samples of `train` and `test`, how many have no such token, and the tokens left out as sinks."""
    part = samples[samples["split"].isin(["train", "test"])]
    pooled = pool_activations(stored, table, part, condition=condition, mask_labels=False)
    return (pooled.values, pooled.sample_ids), len(pooled.dropped), pooled.sinks


def _alone(paths: list[Path], samples: pd.DataFrame) -> Sides:
    found = read_alone(paths)
    wanted = set(samples.loc[samples["split"].isin(["train", "test"]), "sample_id"])
    kept = [
        i for i, name in enumerate(found.sample_ids) if name in wanted and np.isfinite(found.values[i, 0])
    ]
    return _sides((found.values[kept], [found.sample_ids[i] for i in kept]), samples, paths[0])


def _roles(table: TokenTable) -> set[str]:
    return {name for name in ("prompt", "caption") if table.has_role([name]).any()}


def _sides(pooled: Pooled, samples: pd.DataFrame, where: Path) -> Sides:
    values, sample_ids = pooled
    tables = by_split(values, sample_ids, samples)
    for split, table in tables.items():
        if not len(table):
            raise InputError(
                where,
                found=f"no {split} image with a caption token",
                expected="images to compare",
                mend="read captions in this study, or leave retrieval out",
            )
    return Sides(tables["train"].by_group(apart=False).values.mean(axis=0), tables["test"])


def _common(
    sides: list[dict[str, Sides]], max_images: int, rng: np.random.Generator
) -> tuple[list[dict[str, Sides]], pd.Series]:
    """The images that all have, one row a group, in one order, of at most `max_images` groups; and image -> group of all."""
    tables = [each.test.image_ids for some in sides for each in some.values()]
    every = sorted(set.intersection(*(set(ids) for ids in tables)))
    if not every:
        raise InputError(
            "datasets",
            found="no test image in common",
            expected="captions of the same images",
            mend="use one dataset whose rows carry both languages",
        )
    every = np.array(every, dtype=object)

    def whole(each: Sides) -> ImageTable:
        return each.test.rows(np.searchsorted(each.test.image_ids, every))

    group = pd.Series(whole(next(iter(sides[0].values()))).group, index=every)
    units = group.nunique()
    kept = np.sort(rng.permutation(units)[:max_images])

    def chosen(each: Sides) -> Sides:
        return Sides(each.train, whole(each).by_group(apart=False).rows(kept))

    return [{name: chosen(each) for name, each in some.items()} for some in sides], group


def compare(sides: dict[str, dict[str, Sides]], *, rng: np.random.Generator) -> dict[str, Any]:
    """Two languages' captions by what was read of each: `retrieval`, `chance` of its scores, `cka`, and `above_prompt`.

    sides: language -> name of READ -> units, the same ones in one order. `r1` and `r5`: the share of units whose
    counterpart is among the first 1 and 5; `mrr`: mean of 1 / rank; see `found`. CKA is of the same rows, its null the
    same rows with the pairs shuffled. `above_prompt`: what captions find, and how alike they are, beyond what the
    constant prompt behind the same pictures does, unit by unit; see `above` and `cka_difference`.
    """
    first, second = sides
    n = len(sides[first]["caption"].test)
    weights = bootstrap_weights(np.zeros(n), BOOTSTRAPS, rng) / n
    retrieval, similar, beyond = [], [], []
    for read in sides[first]:
        directions = permutations(sides) if read == "prompt" else [(first, second)]
        for source, target in directions:
            pair = _values(sides, source, target, read, centred=False)
            nulls = cka_with_null(*pair, draws=SHUFFLES, rng=rng)
            similar.append(
                {"read": read, "languages": [source, target]}
                | {
                    name: {
                        "value": value if np.isfinite(value) else None,
                        "null": null_band(null, value, tails=1, arrangements=factorial(n))
                        | ({} if n >= FEWEST else {"p": None, "least_p": None}),
                    }
                    for name, (value, null) in nulls.items()
                }
            )
    for source, target in permutations(sides):
        for centred in (True, False):
            ranks = {}
            for read in sides[source]:
                ranks[read] = rank_all(*_values(sides, source, target, read, centred=centred))
                retrieval.append(
                    {"read": read, "source": source, "target": target, "centred": centred}
                    | found(ranks[read], weights, rng)
                )
            if "prompt" in ranks and centred:
                captions, prompts = (
                    _values(sides, source, target, read, centred=False) for read in ("caption", "prompt")
                )
                beyond.append(
                    {"source": source, "target": target}
                    | above(ranks["caption"], ranks["prompt"], weights, rng)
                    | {"cka": cka_difference(captions[0], prompts[0], captions[1], rng=rng)}
                )
    because = None if n >= FEWEST else f"there are {n} independent images, and it takes {FEWEST}"
    return tested(because) | {
        "retrieval": retrieval,
        "chance": {name: float(score.mean()) for name, score in scores(np.arange(1, n + 1)).items()},
        "cka": similar,
        "above_prompt": beyond,
    }


def _values(
    sides: dict[str, dict[str, Sides]], source: str, target: str, read: str, *, centred: bool
) -> list[np.ndarray]:
    """Queries and candidates, (n, d) each; a prompt looks for captions."""
    chosen = sides[source][read], sides[target]["caption" if read == "prompt" else read]
    return [side.test.values - side.train if centred else side.test.values for side in chosen]
