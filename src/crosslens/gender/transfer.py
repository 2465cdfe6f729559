"""Does the gender direction of one language tell gender in another? Transfer on raw activations at one site."""

import logging
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from crosslens.errors import InputError
from crosslens.gender.probes import FOLDS, fit_and_score
from crosslens.pooling.images import ImageTable, by_image
from crosslens.pooling.languages import described, open_languages
from crosslens.pooling.pool import CONDITIONS as POOLED
from crosslens.pooling.pool import pool_activations
from crosslens.stats import logistic
from crosslens.stats.auroc import auroc
from crosslens.stats.nulls import null_band
from crosslens.stats.resampling import bootstrap_weights, stream
from crosslens.tables.activations import Activations
from crosslens.tables.documents import read_table, write_json
from crosslens.tables.tokens import TokenTable, read_tokens

log = logging.getLogger(__name__)

CAPTION_WHOLE = "caption_whole"
CONDITIONS = {**{name: (name, name != "prompt") for name in POOLED}, CAPTION_WHOLE: ("caption", False)}
"""Condition -> (what is pooled, whether label words are left out). `caption_whole` keeps the words that state the
gender: it shows what the text says, a lexical matter, and is never to be read as the masked `caption`."""
METHODS = {
    "difference_of_means": "mean of female minus mean of male train images of the source, on raw activations; scores "
    "are the inner products with it, each language centred by its own train mean, which no AUROC depends on",
    "logistic": "logistic regression on the source's train images, C by cross-validation there; each language is "
    "standardised by the mean and standard deviation of its own train images, labels unused",
}


@dataclass(frozen=True)
class Language:
    """Pooled images of one language and condition."""

    train: ImageTable
    test: ImageTable
    dropped: dict[str, int]
    """Split -> samples with no token left to pool over."""


def gender_transfer(
    *,
    datasets: dict[str, Path],
    tokens: dict[str, list[Path]],
    activations: dict[str, list[Path]],
    conditions: list[str],
    bootstraps: int,
    permutations: int,
    seed: int,
    out: Path,
) -> None:
    """Learn gender on `train` of each language and score it on `test` of each; see `transfer`.

    Keys of the three mappings are the languages; `conditions` are names of CONDITIONS. Writes JSON of kind
    gender_transfer. Raises InputError for an unknown condition and for activations of different sites or models.
    """
    stored = open_languages(datasets, tokens, activations)
    languages = list(stored)
    results = {}
    for condition in conditions:
        if condition not in CONDITIONS:
            raise InputError(
                "conditions", found=condition, expected=list(CONDITIONS), mend="name one of these"
            )
        pooled = {
            language: _pool(stored[language], read_tokens(tokens[language]), datasets[language], condition)
            for language in languages
        }
        results[condition] = _reading(condition) | transfer(
            pooled, bootstraps=bootstraps, permutations=permutations, seed=seed, name=condition
        )
    document = {
        **described(stored),
        "seed": seed,
        "unit": "image",
        "learned_on": "train",
        "scored_on": "test",
        "positive": "female",
        "bootstraps": bootstraps,
        "permutations": permutations,
        "methods": METHODS,
        "nulls": {
            "auroc": "gender shuffled over the source's train images, and learned and scored anew: where the target's "
            "images differ in few directions, any of these may tell its genders apart, so that the band is wide; "
            "two-sided p",
            "separation": "the same shuffles; a direction that labels teach in vain is short as well, so that this p says "
            "whether what the source's labels teach tells gender in the target; two-sided",
            "cosine": "gender shuffled over the train images, the same way in both languages: what languages that "
            "see the same images share without any gender; two-sided p",
            "relative_norm": "gender shuffled over the train images; one-sided p",
        },
        "conditions": results,
    }
    write_json(out, "gender_transfer", document)


def _reading(condition: str) -> dict[str, Any]:
    pooled, masked = CONDITIONS[condition]
    if masked:
        words = "left out of pooling; in a causal model the tokens after them have read them"
    else:
        words = "kept: lexical" if condition == CAPTION_WHOLE else "none are read"
    return {"pooled": pooled, "label_words": words, "lexical": condition == CAPTION_WHOLE}


def _pool(stored: Activations, table: TokenTable, dataset: Path, condition: str) -> Language:
    samples = read_table(dataset, "dataset")
    samples = samples[samples["split"].isin(["train", "test"])]
    pooling, masked = CONDITIONS[condition]
    pooled = pool_activations(stored, table, samples, condition=pooling, mask_labels=masked)
    split_of = dict(zip(samples["sample_id"], samples["split"], strict=True))
    splits = np.array([split_of[sample_id] for sample_id in pooled.sample_ids], dtype=object)
    tables = {}
    for split in ("train", "test"):
        rows = np.flatnonzero(splits == split)
        ids = [pooled.sample_ids[row] for row in rows]
        tables[split] = by_image(pooled.values[rows], ids, samples[samples["split"] == split])
    dropped = [split_of[sample_id] for sample_id in pooled.dropped]
    return Language(**tables, dropped={split: dropped.count(split) for split in tables})


def transfer(
    pooled: dict[str, Language], *, bootstraps: int, permutations: int, seed: int, name: str
) -> dict[str, Any]:
    """AUROC and separation of every ordered pair of languages and method, cosines of the directions, and their lengths.

    `separation`: mean score of the target's women less that of its men, with the direction as long as it was learned.
    Only images of known gender take part; a language with fewer than FOLDS train images of a gender teaches nothing
    and one whose test images lack a gender scores nothing (None). CI: 95 %, the target's test images resampled within
    gender. `relative_norm`: length of the difference of means over the root mean squared distance of the train images
    from their mean.
    """
    train = {language: images.train.labelled() for language, images in pooled.items()}
    test = {language: images.test.labelled() for language, images in pooled.items()}
    learnable = [
        language
        for language, images in train.items()
        if min((images.gender == gender).sum() for gender in ("female", "male")) >= FOLDS
    ]
    directions, nulls, orders = {}, {}, {}
    for language in learnable:
        images, female = train[language], train[language].gender == "female"
        directions[language] = _directions(images.values, female[:, None])[:, 0]
        orders[language] = _shuffles(images.image_ids, permutations, seed, name) < female.sum()
        nulls[language] = _directions(images.values, orders[language])
    scores = {}
    for source in learnable:
        rng = stream(seed, "gender_transfer", name, source)
        lines = np.column_stack([directions[source], nulls[source]])
        scores |= _scores(source, train[source], lines, orders[source], pooled, int(rng.integers(2**31)))
    results = []
    for source in pooled:
        for target in pooled:
            female = test[target].gender == "female"
            counts = {"female": int(female.sum()), "male": int((~female).sum())}
            for method in METHODS:
                rng = stream(seed, "gender_transfer", name, source, target, method)
                found = scores.get((source, target, method)) if min(counts.values()) else None
                results.append(
                    {"source": source, "target": target, "method": method, "n": counts}
                    | scored(found, female, bootstraps=bootstraps, rng=rng)
                )
    return {
        "languages": {
            language: _described(images, directions.get(language), nulls.get(language))
            for language, images in pooled.items()
        },
        "transfer": results,
        "cosine": [
            {"languages": list(pair)}
            | (
                _cosine_statement(*([found[language] for language in pair] for found in (directions, nulls)))
                if set(pair) <= set(learnable)
                else {"value": None, "null": null_band(np.empty(0), None)}
            )
            for pair in combinations(pooled, 2)
        ],
    }


def _scores(
    source: str,
    train: ImageTable,
    lines: np.ndarray,
    shuffled: np.ndarray,
    pooled: dict[str, Language],
    fold_seed: int,
) -> dict[tuple[str, str, str], np.ndarray]:
    """(source, target, method) -> scores (m, 1 + B) of the target's labelled test images: as learned, then by shuffles.

    lines: (d, 1 + B) differences of means of the source; shuffled: (n, B) bool, its labels in the shuffles. Logistic
    shuffles take the C that cross-validation chose for the labels as they are.
    """
    female = train.gender == "female"
    centre = {language: images.train.values.mean(axis=0) for language, images in pooled.items()}
    spread = {language: images.train.values.std(axis=0) for language, images in pooled.items()}

    def standard(language: str, images: ImageTable) -> np.ndarray:
        # a channel that does not vary in train says nothing
        scale = np.where(spread[language] > 0, spread[language], np.inf)
        return (images.values - centre[language]) / scale

    tests = {language: images.test.labelled() for language, images in pooled.items() if len(images.train)}
    x, rows = (
        standard(source, train),
        np.concatenate([standard(language, images) for language, images in tests.items()]),
    )
    decided, penalty = fit_and_score(x, female, rows, fold_seed)
    decided = np.column_stack([decided, logistic.fits(x, shuffled, rows, penalty)])
    by_fit = np.split(decided, np.cumsum([len(images) for images in tests.values()])[:-1])
    found = {}
    for (target, images), score in zip(tests.items(), by_fit, strict=True):
        found[source, target, "difference_of_means"] = (images.values - centre[target]) @ lines
        found[source, target, "logistic"] = score
    return found


def scored(
    scores: np.ndarray | None, female: np.ndarray, *, bootstraps: int, rng: np.random.Generator
) -> dict[str, Any]:
    """`auroc` with CI and `separation`, each with its null.

    scores: (m, 1 + B), as learned and by shuffled labels, or None where there are none; female: (m) bool.
    """
    if scores is None:
        nothing = null_band(np.empty(0), None)
        return {"auroc": None, "null": nothing, "separation": {"value": None, "null": nothing}}
    score = scores[:, 0]
    value = auroc(score, female)
    weights = bootstrap_weights(female, bootstraps, rng)
    low, high = np.quantile(auroc(score, female, weights), [0.025, 0.975]) if bootstraps else (None, None)
    positive = int(female.sum())
    areas = rankdata(scores[:, 1:], axis=0)[female].sum(axis=0) - positive * (positive + 1) / 2
    apart = scores[female].mean(axis=0) - scores[~female].mean(axis=0)
    return {
        "auroc": {"value": value, "low": low, "high": high},
        "null": null_band(areas / (positive * (len(female) - positive)), value),
        "separation": {"value": float(apart[0]), "null": null_band(apart[1:], float(apart[0]))},
    }


def _directions(values: np.ndarray, female: np.ndarray) -> np.ndarray:
    """(d, B) difference of the class means under each labelling: values (m, d), female (m, B) bool."""
    first, second = female / female.sum(axis=0), ~female / (~female).sum(axis=0)
    return values.T @ (first - second)


def _shuffles(image_ids: np.ndarray, draws: int, seed: int, name: str) -> np.ndarray:
    """(m, B) ranks of the images in random orders that hang on their ids alone, so that languages agree on them."""
    keys = [
        stream(seed, "gender_transfer", name, "shuffle", str(image_id)).random(draws)
        for image_id in image_ids
    ]
    return np.argsort(np.argsort(np.array(keys).reshape(len(image_ids), draws), axis=0), axis=0)


def _described(images: Language, direction: np.ndarray | None, null: np.ndarray | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        split: getattr(images, split).counts() | {"dropped_samples": images.dropped[split]}
        for split in ("train", "test")
    }
    if direction is None or null is None:
        return document | {
            "direction": {"norm": None, "relative_norm": None, "null": null_band(np.empty(0), None)}
        }
    values = images.train.values
    spread = float(np.sqrt(np.square(values - values.mean(axis=0)).sum(axis=1).mean())) or np.nan
    norm, lengths = float(np.linalg.norm(direction)), np.linalg.norm(null, axis=0) / spread
    relative = norm / spread
    band = null_band(lengths, relative, tails=1)
    return document | {
        "direction": {
            "norm": norm,
            "relative_norm": relative if np.isfinite(relative) else None,
            "null": band,
        }
    }


def _cosine_statement(directions: list[np.ndarray], nulls: list[np.ndarray]) -> dict[str, Any]:
    cosine = _cosines(*(direction[:, None] for direction in directions))
    value = float(cosine[0]) if np.isfinite(cosine[0]) else None
    return {"value": value, "null": null_band(_cosines(*nulls), value)}


def _cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(B) cosine of each column; NaN for a column of zeros."""
    with np.errstate(invalid="ignore"):
        return np.einsum("db,db->b", first, second) / (
            np.linalg.norm(first, axis=0) * np.linalg.norm(second, axis=0)
        )
