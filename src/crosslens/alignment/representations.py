"""How alike two languages are at one site, and how much each number hangs on which images there happen to be."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crosslens.alignment.cka import unbiased_cka
from crosslens.alignment.likeness import SUBSPACE, decomposed, likeness, principal_cosines, share_within
from crosslens.alignment.ranks import rank_all
from crosslens.pooling.images import ImageTable, by_image
from crosslens.pooling.languages import Pairs, described, open_languages, pairs_among
from crosslens.pooling.pool import pool_activations
from crosslens.stats.auroc import auroc
from crosslens.stats.nulls import null_band
from crosslens.stats.resampling import halves, shuffled_labels, stream
from crosslens.tables.alone import read_alone
from crosslens.tables.documents import read_table, write_json
from crosslens.tables.tokens import read_tokens

HALVES = 200
"""Random halves of the images."""
SHUFFLES = 99
"""Of pairs; of labels."""
UNITS = 1000
"""Compared at most: kernels and singular vectors grow with their square."""
LEAST_TRAIN = 5
"""Images of each gender without which a language has no direction, as in gender_transfer."""
_DIGITS = 6
CONDITIONS = {
    "prompt": ("prompt", True),
    "caption": ("caption", True),
    "text": ("text", True),
    "caption_whole": ("caption", False),
}
"""Condition -> (what is pooled, whether label words are left out), as in gender_transfer."""


@dataclass(frozen=True)
class Halves:
    """Random halves of the images of each split, the same at every site and in every language."""

    of_group: dict[str, np.ndarray]
    """Group -> (HALVES) bool."""

    @classmethod
    def drawn(cls, samples: pd.DataFrame, seed: int) -> "Halves":
        """By the groups and genders of one language's table, split by split: in each, half of the groups of a gender."""
        found = {}
        for split in ("train", "test"):
            rows = samples[samples["split"] == split].sort_values("sample_id")
            group = rows["group" if "group" in rows else "image_id"].to_numpy(dtype=object)
            rng = stream(seed, "halves", split)
            drawn = halves(rows["gender"].to_numpy(dtype=object), HALVES, rng, group)
            found |= dict(zip(group, drawn, strict=True))
        return cls(found)

    def rows(self, table: ImageTable) -> np.ndarray:
        """(m, HALVES) bool: which rows of a table are in each half."""
        return np.array([self.of_group[group] for group in table.group]).reshape(len(table), HALVES)


def representations(
    *,
    datasets: dict[str, Path],
    tokens: dict[str, list[Path]],
    activations: dict[str, list[Path]],
    conditions: list[str],
    seed: int,
    out: Path,
    alone: dict[str, list[Path]] | None = None,
    pairs: Pairs | None = None,
) -> None:
    """Compare mean activations of the same images' captions in two languages at one site; see `alike` and `gendered`.

    Keys of the mappings are the languages. Whole captions of test, label words kept, sinks left out; alone: of a study with
    pictures, the captions read without them. conditions: of gender, empty where it is not asked for; directions are learned
    on train. pairs: of languages; None is every two. Writes JSON of kind
    representations. Raises InputError for activations of different sites or models.
    """
    stored = open_languages(datasets, tokens, activations)
    languages = list(stored)
    samples = {language: read_table(path, "dataset") for language, path in datasets.items()}
    tables = {language: read_tokens(paths) for language, paths in tokens.items()}

    def pooled(language: str, condition: str, split: str) -> ImageTable:
        pooling, masked = CONDITIONS[condition]
        rows = samples[language][samples[language]["split"] == split]
        found = pool_activations(
            stored[language], tables[language], rows, condition=pooling, mask_labels=masked
        )
        return by_image(found.values, found.sample_ids, rows)

    test = {language: samples[language][samples[language]["split"] == "test"] for language in languages}
    reads = {"caption": {language: pooled(language, "caption_whole", "test") for language in languages}}
    train = {"caption": {language: pooled(language, "caption_whole", "train") for language in languages}}
    if alone:
        reads["alone"] = {language: _alone(alone[language], test[language]) for language in languages}
        train["alone"] = {
            language: _alone(alone[language], samples[language][samples[language]["split"] == "train"])
            for language in languages
        }
    drawn = Halves.drawn(samples[languages[0]], seed)
    learned = {
        condition: {
            language: (pooled(language, condition, "train"), pooled(language, condition, "test"))
            for language in languages
        }
        for condition in conditions
    }
    results = []
    for pair in pairs_among(languages, pairs):
        rng = stream(seed, "representations", *pair)
        results.append(
            {
                "languages": list(pair),
                "reads": [
                    {"read": read}
                    | alike(*((of[k], _centre(train[read][k])) for k in pair), pair, drawn, rng)
                    for read, of in reads.items()
                ],
                "gender": [
                    {"condition": condition}
                    | gendered({language: of[language] for language in pair}, drawn, rng)
                    for condition, of in learned.items()
                ],
            }
        )
    document = {
        **described(stored),
        "seed": seed,
        "halves": HALVES,
        "shuffles": SHUFFLES,
        "max_units": UNITS,
        "subspace": SUBSPACE,
        "pairs": results,
    }
    write_json(out, "representations", document)


def _centre(train: ImageTable) -> np.ndarray:
    return train.by_group(apart=False).values.mean(axis=0)


def _alone(paths: list[Path], samples: pd.DataFrame) -> ImageTable:
    found = read_alone(paths)
    wanted = set(samples["sample_id"])
    kept = [
        i for i, name in enumerate(found.sample_ids) if name in wanted and np.isfinite(found.values[i, 0])
    ]
    return by_image(found.values[kept], [found.sample_ids[i] for i in kept], samples)


def spread(value: float, of_halves: Callable[[np.ndarray], float], rows: np.ndarray) -> dict[str, Any]:
    """`value`, and `deviations` of it: what it is on each half (m, HALVES) of the images less the mean over the halves.

    A statistic of a random half of n images, without replacement, varies about the whole as one of n independent images
    does about the truth (half-sampling; Shao and Tu 1995, chapter 5): no image is there twice, which CKA and ranks would
    take for likeness. Halves that have no value count as no deviation.
    """
    found = np.array([of_halves(np.flatnonzero(rows[:, i])) for i in range(rows.shape[1])])
    known = np.isfinite(found)
    if not np.isfinite(value) or not known.any():
        return {"value": None, "deviations": None}
    deviations = np.where(known, found - found[known].mean(), 0.0)
    return {"value": float(value), "deviations": np.round(deviations, _DIGITS)}


def alike(
    first: tuple[ImageTable, np.ndarray],
    second: tuple[ImageTable, np.ndarray],
    pair: tuple[str, str],
    drawn: Halves,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Two languages' captions of the same images: `cka`, `retrieval`, `subspace`, and `svcca`, `pwcca`, `procrustes`.

    first, second: the test images and the mean (d) of train units, which is taken off before cosines. A unit is an image, or
    the mean of the images of one group, as in `retrieval`. cka: unbiased.
    retrieval: R@1 of either language among all units, of which halves are queries. subspace: mean cos² of the
    principal angles between the directions of largest variance of both, beside that of halves of one language (`ceiling`)
    and of random subspaces (`chance`). The last three beside shuffled pairs, see `likeness`.
    """
    (one, centre), (other, other_centre) = first, second
    _, i, j = np.intersect1d(one.image_ids, other.image_ids, return_indices=True)
    images = one.rows(i).group
    one, other = one.rows(i).by_group(apart=False), other.rows(j).by_group(apart=False)
    kept = np.sort(rng.permutation(len(one))[:UNITS])
    one, other = one.rows(kept), other.rows(kept)
    x, y = (np.asarray(table.values, dtype=np.float64) for table in (one, other))
    rows = drawn.rows(one)
    told: dict[str, Any] = {"images": int(np.isin(images, one.group).sum()), "groups": len(x)}
    told["cka"] = spread(unbiased_cka(x, y), lambda at: unbiased_cka(x[at], y[at]), rows)
    told["retrieval"] = []
    for source, target, queries, candidates in (
        (*pair, x - centre, y - other_centre),
        (*pair[::-1], y - other_centre, x - centre),
    ):
        hits = np.diag(rank_all(queries, candidates)) <= 1
        statement = spread(hits.mean(), lambda at, hits=hits: hits[at].mean(), rows)
        told["retrieval"].append({"source": source, "target": target} | statement)
    told["subspace"] = _subspaces(x, y, rows)
    sides = decomposed(x), decomposed(y)
    values = likeness(*sides)
    nulls = [likeness(*sides, rng.permutation(len(x))) for _ in range(SHUFFLES)]
    for name, value in values.items():
        null = np.array([draw[name] for draw in nulls])
        # alike is a small distance
        sign = -1 if name == "procrustes" else 1
        band = null_band(sign * null, sign * value, tails=1)
        told[name] = {
            "value": value if np.isfinite(value) else None,
            "null": {
                "mean": band["mean"] and sign * band["mean"],
                "bound": band["q95"] and sign * band["q95"],
                "p": band["p"],
            },
        }
    return told | {"directions": [side.kept() for side in sides]}


def _subspaces(x: np.ndarray, y: np.ndarray, rows: np.ndarray) -> dict[str, Any]:
    k = min(SUBSPACE, x.shape[1], len(x) // 2 - 1)
    if k < 1:
        return {"value": None, "deviations": None, "angles": [], "ceiling": None, "chance": None}

    def top(values: np.ndarray) -> np.ndarray:
        return decomposed(values).v[:, :k]

    def overlap(a: np.ndarray, b: np.ndarray) -> float:
        cosines = principal_cosines(top(a), top(b))
        return float(np.square(cosines).sum() / k)

    cosines = principal_cosines(top(x), top(y))
    found = spread(np.square(cosines).sum() / k, lambda at: overlap(x[at], y[at]), rows[:, :20])
    two = [overlap(z[rows[:, i]], z[~rows[:, i]]) for z in (x, y) for i in range(5)]
    return {
        "value": found["value"],
        "angles": np.degrees(np.arccos(cosines)),
        "ceiling": float(np.mean(two)),
        "chance": k / x.shape[1],
    }


def gendered(
    pooled: dict[str, tuple[ImageTable, ImageTable]], drawn: Halves, rng: np.random.Generator
) -> dict[str, Any]:
    """Two languages' differences of the class means: `cosine`, `transfer` both ways, and `within` the top subspaces.

    groups: independent ones of those that a number is of; of a cosine in the language that has fewer.
    pooled: language -> train and test images. transfer: AUROC of the source's direction on the target's test images. Halves
    are of train and test alike, so that a direction is learned anew on each. within: the share (cos²) of each language's
    direction in the SUBSPACE directions of largest variance of the train images of each, beside directions of shuffled labels.
    """
    (first, second), (train, test) = (
        pooled,
        ({k: v[i].labelled().by_group() for k, v in pooled.items()} for i in (0, 1)),
    )
    female = {
        k: {s: of[k].gender == "female" for s, of in (("train", train), ("test", test))} for k in pooled
    }
    rows = {k: {"train": drawn.rows(train[k]), "test": drawn.rows(test[k])} for k in pooled}
    counts = {
        k: [int(female[k][s].sum()) for s in ("train", "test")]
        + [int((~female[k][s]).sum()) for s in ("train", "test")]
        for k in pooled
    }
    nothing = {"value": None, "deviations": None}
    if min(min(of[0], of[2]) for of in counts.values()) < LEAST_TRAIN:
        return {"cosine": nothing | {"groups": None}, "transfer": [], "within": []}

    def direction(language: str, i: int | None) -> np.ndarray:
        weights = (
            np.ones(len(train[language])) if i is None else rows[language]["train"][:, i].astype(np.float64)
        )
        return differences(train[language].values, female[language]["train"][:, None], weights[:, None])[:, 0]

    def cosine(i: int | None) -> float:
        a, b = direction(first, i), direction(second, i)
        with np.errstate(invalid="ignore"):
            return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))

    def area(source: str, target: str, i: int | None) -> float:
        scores, labels = test[target].values @ direction(source, i), female[target]["test"]
        at = slice(None) if i is None else rows[target]["test"][:, i]
        return float(auroc(scores[at], labels[at]))

    few = min(train[k].independent() for k in pooled)
    told: dict[str, Any] = {"cosine": _drawn(cosine) | {"groups": few}}
    told["transfer"] = [
        {"source": source, "target": target, "groups": test[target].independent()}
        | (
            _drawn(lambda i, s=source, t=target: area(s, t, i))
            if counts[target][1] and counts[target][3]
            else nothing
        )
        for source, target in permutations(pooled)
    ]
    told["within"] = [
        {"direction": source, "subspace": target}
        | _within(train[source], female[source]["train"], direction(source, None), train[target].values, rng)
        for source in pooled
        for target in pooled
    ]
    return told


def _drawn(of: Callable[[int | None], float]) -> dict[str, Any]:
    """As `spread`, of what takes the number of a half, or None for all images."""
    numbers = np.eye(HALVES, dtype=bool)
    return spread(of(None), lambda at: of(int(at[0])), numbers)


def differences(values: np.ndarray, female: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(d, B) weighted mean of female less that of male rows: values (m, d), female (m, B) bool, weights (m, B)."""
    first, second = female * weights, ~female * weights
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(values).T @ (first / first.sum(axis=0) - second / second.sum(axis=0))


def _within(
    images: ImageTable,
    female: np.ndarray,
    direction: np.ndarray,
    others: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, Any]:
    top = decomposed(others).v[:, :SUBSPACE]
    shuffled = shuffled_labels(female, SHUFFLES, rng, images.group)
    null = share_within(differences(images.values, shuffled, np.ones(shuffled.shape)), top)
    value = float(share_within(direction[:, None], top)[0])
    return {"value": value if np.isfinite(value) else None, "null": null_band(null, value)}
