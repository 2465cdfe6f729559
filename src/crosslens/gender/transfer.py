"""Does the gender direction of one language tell gender in another? Transfer on raw activations at one site."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from crosslens.errors import InputError
from crosslens.gender.probes import FOLDS, fit_and_score
from crosslens.pooling.images import ImageTable, by_split
from crosslens.pooling.languages import Pairs, described, open_languages, pairs_among
from crosslens.pooling.pool import CONDITIONS as POOLED
from crosslens.pooling.pool import pool_activations
from crosslens.stats.auroc import auroc, auroc_interval
from crosslens.stats.nulls import null_band
from crosslens.stats.rank_test import design_of
from crosslens.stats.resampling import arrangements, stream
from crosslens.stats.tested import tested
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
    permutations: int,
    seed: int,
    out: Path,
    pairs: Pairs | None = None,
) -> None:
    """Learn gender on `train` of each language and score it on `test` of each; see `transfer`.

    Keys of the three mappings are the languages; `conditions` are names of CONDITIONS; pairs: of languages,
    None is every two. Writes JSON of kind gender_transfer. Raises InputError for an unknown condition and for activations of
    different sites or models.
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
            pooled, pairs=pairs, permutations=permutations, seed=seed, name=condition
        )
    document = {
        **described(stored),
        "seed": seed,
        "unit": "image, or the images of one group and gender",
        "learned_on": "train",
        "scored_on": "test",
        "positive": "female",
        "permutations": permutations,
        "methods": METHODS,
        "nulls": {
            "auroc": "random directions in the place of the learned one, scored on the same test images: with the covariance of "
            "the source's train images around the mean of their gender, and with equal odds for all directions; the wider of "
            "the two bands and the larger of the two p, two-sided in |AUROC - .5|. So a source whose gender is strong but "
            "has nothing to do with the target's is no finding, nor is a target in which few directions matter",
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
    tables = by_split(pooled.values, pooled.sample_ids, samples)
    split_of = dict(zip(samples["sample_id"], samples["split"], strict=True))
    dropped = [split_of[sample_id] for sample_id in pooled.dropped]
    return Language(**tables, dropped={split: dropped.count(split) for split in tables})


def transfer(
    pooled: dict[str, Language],
    *,
    permutations: int,
    seed: int,
    name: str,
    pairs: Pairs | None = None,
) -> dict[str, Any]:
    """AUROC of every language in itself and of `pairs` both ways, by method; cosines of the directions, and their lengths.

    Only images of known gender take part, those of one group and gender as one; a language with fewer than FOLDS train
    units of a gender teaches nothing and one whose test images lack a gender scores nothing (None). CI: 95 %,
    `auroc_interval`. `relative_norm`: length of the difference of means over the root mean squared distance of the train
    images from their mean.
    """
    train = {language: images.train.labelled().by_group() for language, images in pooled.items()}
    shown = {language: images.test.labelled() for language, images in pooled.items()}
    test = {language: images.by_group() for language, images in shown.items()}
    learnable = [
        language
        for language, images in train.items()
        if min((images.gender == gender).sum() for gender in ("female", "male")) >= FOLDS
    ]
    directions, nulls, ways = {}, {}, {}
    for language in learnable:
        images, female = train[language], train[language].gender == "female"
        directions[language] = _directions(images.values, female[:, None])[:, 0]
        nulls[language] = _directions(images.values, _shuffled(images, permutations, seed, name))
        ways[language] = arrangements(female, images.group, mirror=~female)
    scores = {}
    for source in learnable:
        rng = stream(seed, "gender_transfer", name, source)
        scores |= _scores(source, train[source], directions[source], pooled, permutations, rng)
    compared = pairs_among(pooled, pairs)
    scorable = {
        *compared,
        *((second, first) for first, second in compared),
        *zip(pooled, pooled, strict=True),
    }
    results = []
    for source in pooled:
        for target in pooled:
            if (source, target) not in scorable:
                continue
            female = test[target].gender == "female"
            counts = {gender: shown[target].counts()[gender] for gender in ("female", "male")}
            of = {"source": source, "target": target, "n": counts, "groups": shown[target].independent()}
            for method in METHODS:
                found = scores.get((source, target, method)) if min(counts.values()) else None
                results.append(of | {"method": method} | scored(found, female, test[target].group))
    return {
        "languages": {
            language: _described(images, directions.get(language), nulls.get(language), ways.get(language, 0))
            for language, images in pooled.items()
        },
        "transfer": results,
        "cosine": [
            {"languages": list(pair)}
            | (
                _cosine_statement(
                    *([found[language] for language in pair] for found in (directions, nulls)),
                    max(ways[language] for language in pair),
                )
                if set(pair) <= set(learnable)
                else {"value": None, "null": null_band(np.empty(0), None)}
            )
            for pair in compared
        ],
    }


class Scores(NamedTuple):
    """Of the m labelled test images of a target."""

    learned: np.ndarray
    """(m) by the direction that was learned."""
    random: list[np.ndarray]
    """(m, B) by random ones, an array for each way to draw them."""


def _scores(
    source: str,
    train: ImageTable,
    direction: np.ndarray,
    pooled: dict[str, Language],
    draws: int,
    rng: np.random.Generator,
) -> dict[tuple[str, str, str], Scores]:
    """(source, target, method) -> scores of the target's labelled test images. direction: (d) difference of means."""
    female = train.gender == "female"
    centre = {language: images.train.values.mean(axis=0) for language, images in pooled.items()}
    spread = {language: images.train.values.std(axis=0) for language, images in pooled.items()}

    def standard(language: str, images: ImageTable) -> np.ndarray:
        # a channel that does not vary in train says nothing
        scale = np.where(spread[language] > 0, spread[language], np.inf)
        return (images.values - centre[language]) / scale

    tests = {
        language: images.test.labelled().by_group()
        for language, images in pooled.items()
        if len(images.train)
    }
    raw = {target: images.values - centre[target] for target, images in tests.items()}
    standardised = {target: standard(target, images) for target, images in tests.items()}
    x = standard(source, train)
    decided, _ = fit_and_score(
        x, female, np.concatenate(list(standardised.values())), int(rng.integers(2**31)), train.group
    )
    ends = np.cumsum([len(images) for images in tests.values()])[:-1]
    learned = {
        "difference_of_means": {target: values @ direction for target, values in raw.items()},
        "logistic": dict(zip(tests, np.split(np.ravel(decided), ends), strict=True)),
    }
    values = {"difference_of_means": (train.values, raw), "logistic": (x, standardised)}
    found = {}
    for method, (own, others) in values.items():
        lines = random_directions(own, female, draws, rng)
        for target, rows in others.items():
            found[source, target, method] = Scores(learned[method][target], [rows @ line for line in lines])
    return found


def random_directions(
    values: np.ndarray, female: np.ndarray, draws: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Directions (d, draws) that know nothing of any gender: as `values` (n, d) vary within gender, and all as likely.

    A learned direction is unrelated to another language's gender where it is no more like it than directions of its own
    kind are. Of its kind nobody knows: concepts may lie along what varies most, or anywhere. So both are drawn, and a
    finding must stand out of both. Shuffled labels are none of it: they teach a short direction where the labels teach a
    strong one.
    """
    within = values - np.where(female[:, None], values[female].mean(axis=0), values[~female].mean(axis=0))
    return [
        within.T @ rng.standard_normal((len(values), draws)),
        rng.standard_normal((values.shape[1], draws)),
    ]


def scored(scores: Scores | None, female: np.ndarray, groups: np.ndarray | None = None) -> dict[str, Any]:
    """`auroc` with CI, and its `null`: band of random directions, outside of which p is at most .05.

    scores: of the target's test images, or None where there are none; female: (m) bool; groups: (m), see `auroc_interval`.
    Not tested, and without p, where random directions are so often as far from .5 as can be that no AUROC has p of .05.
    """
    if scores is None:
        because = "there are too few images of known gender to learn from or to score"
        return {"auroc": None, "null": dict.fromkeys(("low", "high", "p", "least_p"))} | tested(because)
    value = auroc(scores.learned, female)
    low, high = auroc_interval(scores.learned, female, groups)
    null = [_away(value, random, female) for random in scores.random]
    half, p, least = (max(some) for some in zip(*null, strict=True))
    because = None
    if half >= 0.5:
        counts = f"{int(female.sum())} female and {int((~female).sum())} male"
        because = f"random directions tell the {counts} independent test images apart without a fault in more than 5 %"
    return {
        "auroc": {"value": value, "low": low, "high": high},
        "null": {"low": 0.5 - half, "high": 0.5 + half, "p": None if because else p}
        | {"least_p": None if because else least},
    } | tested(because)


def _away(value: float, scores: np.ndarray, female: np.ndarray) -> tuple[float, float, float]:
    """How far from .5 an AUROC may be with p above .05, the p of `value`, and that of an AUROC of 1: scores (m, B), B >= 1."""
    away = np.sort(np.abs(auroc(scores, female) - 0.5))[::-1]
    reached, faultless = (int(np.sum(away >= far - 1e-12)) for far in (abs(value - 0.5), 0.5))
    # p = (1 + reached) / (1 + B) is at most .05 beyond so many of the farthest
    allowed = max(0, int(0.05 * (1 + len(away)) + 1e-9) - 1)
    p, least = ((1 + some) / (1 + len(away)) for some in (reached, faultless))
    return float(away[min(allowed, len(away) - 1)]), p, least


def _directions(values: np.ndarray, female: np.ndarray) -> np.ndarray:
    """(d, B) difference of the class means under each labelling: values (m, d), female (m, B) bool."""
    first, second = female / female.sum(axis=0), ~female / (~female).sum(axis=0)
    return values.T @ (first - second)


def _shuffled(images: ImageTable, draws: int, seed: int, name: str) -> np.ndarray:
    """(m, B) bool: which units are female in shuffles that hang on the groups' ids alone, so that languages agree on them."""
    female = images.gender == "female"
    design = design_of(female, images.group)
    keys = np.array(
        [stream(seed, "gender_transfer", name, "shuffle", str(group)).random(draws) for group in images.group]
    ).reshape(len(female), draws)
    shuffled = np.empty(keys.shape, dtype=bool)
    ranks = np.argsort(np.argsort(keys[design.singles], axis=0), axis=0)
    shuffled[design.singles] = ranks < female[design.singles].sum()
    # the two of a pair keep their labels, or change them
    kept = keys[design.first] < 0.5
    shuffled[design.first], shuffled[design.second] = kept, ~kept
    return shuffled


def _described(
    images: Language, direction: np.ndarray | None, null: np.ndarray | None, ways: int
) -> dict[str, Any]:
    document: dict[str, Any] = {
        split: part.counts()
        | {"groups": part.labelled().independent(), "dropped_samples": images.dropped[split]}
        for split, part in (("train", images.train), ("test", images.test))
    }
    if direction is None or null is None:
        return document | {
            "direction": {"norm": None, "relative_norm": None, "null": null_band(np.empty(0), None)}
        }
    values = images.train.values
    spread = float(np.sqrt(np.square(values - values.mean(axis=0)).sum(axis=1).mean())) or np.nan
    norm, lengths = float(np.linalg.norm(direction)), np.linalg.norm(null, axis=0) / spread
    relative = norm / spread
    band = null_band(lengths, relative, tails=1, arrangements=ways)
    return document | {
        "direction": {
            "norm": norm,
            "relative_norm": relative if np.isfinite(relative) else None,
            "null": band,
        }
    }


def _cosine_statement(directions: list[np.ndarray], nulls: list[np.ndarray], ways: int) -> dict[str, Any]:
    cosine = _cosines(*(direction[:, None] for direction in directions))
    value = float(cosine[0]) if np.isfinite(cosine[0]) else None
    return {"value": value, "null": null_band(_cosines(*nulls), value, arrangements=ways)}


def _cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(B) cosine of each column; NaN for a column of zeros."""
    with np.errstate(invalid="ignore"):
        return np.einsum("db,db->b", first, second) / (
            np.linalg.norm(first, axis=0) * np.linalg.norm(second, axis=0)
        )
