"""What a model may be steered by: features chosen in different ways, directions of its activations, and random features."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from crosslens.errors import InputError
from crosslens.interventions.edits import Change, of_direction, of_features
from crosslens.pooling.pool import without_sinks
from crosslens.sae.model import SAE
from crosslens.stats.logistic import path
from crosslens.tables.codes import Codes
from crosslens.tables.tokens import TokenTable

BOTH = "both"
"""Found in all languages together."""
CANDIDATES = 100
"""Of a language, by effect size: those whose output score is told."""
NEAREST = 20
"""Live features most like one of an arm, of which a random one stands in for it."""
PENALTY = 0.1
"""C of the probe whose weights are a direction, of standardised activations."""
FEATURE_METHODS = ("effect", "output", "attribution", "together")
DIRECTION_METHODS = ("difference", "probe", "pca")


EMPTY = {
    "effect": "no live feature differs between the genders",
    "output": "no candidate promotes a token that the model then says",
    "attribution": "the outcome does not hang on any live feature",
    "together": "on no candidate effect and attribution agree in sign",
    **dict.fromkeys(DIRECTION_METHODS, "the direction has no length"),
}
"""Why there is no arm of a method."""


class Arm(NamedTuple):
    """One way to steer: towards female at strengths above 0."""

    method: str
    found_in: str
    """A language, or BOTH."""
    features: list[int]
    """Of the SAE; none of a direction."""
    signs: list[int]
    """+1: more of the feature is female."""
    norm: float
    """‖δ‖ at strength 1 as the method gives it, before all arms are made equally long."""
    direction: np.ndarray
    """(d) what is added at strength 1 as the method gives it, in the units of activations (of features, before `normalize`)."""

    @property
    def name(self) -> str:
        return f"{self.method}/{self.found_in}"


class Level(NamedTuple):
    """Of the F features of one language on split select."""

    frequency: np.ndarray
    """Share of tokens on which it fires."""
    high: np.ndarray
    """99th percentile of its positive activations, 0 where it has none."""


def levels(codes: Codes, keep: np.ndarray) -> Level:
    """keep: (tokens of the codes) bool."""
    indices, values = [], []
    for start, block in codes.blocks():
        own = block[np.flatnonzero(keep[start : start + block.shape[0]])]
        indices.append(own.indices)
        values.append(own.data)
    feature, value = np.concatenate(indices), np.concatenate(values).astype(np.float64)
    feature, value = feature[value > 0], value[value > 0]
    order = np.lexsort([value, feature])
    feature, value = feature[order], value[order]
    count = np.bincount(feature, minlength=codes.d_sae)
    first = np.cumsum(count) - count
    high = np.zeros(codes.d_sae)
    fires = np.flatnonzero(count)
    # as numpy.percentile does: linear between the two nearest
    at = first[fires] + 0.99 * (count[fires] - 1)
    low = np.floor(at).astype(np.int64)
    above = np.minimum(low + 1, first[fires] + count[fires] - 1)
    high[fires] = value[low] + (at - low) * (value[above] - value[low])
    return Level(count / max(int(keep.sum()), 1), high)


def levels_on_select(codes: Codes, tokens: TokenTable, dataset: pd.DataFrame) -> Level:
    """Of the encoded tokens of select that are no sinks, as edits spare these."""
    select = {*dataset["sample_id"][dataset["split"] == "select"]}
    chosen = np.array([sample in select for sample in tokens.sample_ids], dtype=bool)
    keep = chosen[tokens.sample[codes.token]]
    return levels(codes, without_sinks(codes.norm, tokens.role[codes.token], keep))


class Candidates(NamedTuple):
    """What is known of the F features in one language, or in all."""

    d: np.ndarray
    """Cohen's d of gender on select, 0 where it is not live."""
    output: np.ndarray
    """Output score, 0 of all but the CANDIDATES."""
    attribution: np.ndarray
    """Σ gradient · Δz of the outcome, nats."""
    level: Level


def together(of: Sequence[Candidates]) -> Candidates:
    """The same of several languages: means over them."""
    return Candidates(
        *(np.mean([getattr(one, name) for one in of], axis=0) for name in ("d", "output", "attribution")),
        Level(*(np.mean([getattr(one.level, name) for one in of], axis=0) for name in Level._fields)),
    )


def strongest(d: np.ndarray, count: int = CANDIDATES) -> np.ndarray:
    """The features of largest |d|, at most `count`, those of none left out."""
    order = np.argsort(-np.abs(d), kind="stable")[:count]
    return order[d[order] != 0]


def empty(arms: Sequence[Arm], found_in: Sequence[str]) -> list[dict[str, str]]:
    """The arms that there are not, of every method and of every language (or BOTH) that features are found in, and why."""
    there = {(arm.method, arm.found_in) for arm in arms}
    return [
        {"method": method, "found_in": name, "because": because}
        for name in found_in
        for method, because in EMPTY.items()
        if (method, name) not in there
    ]


def feature_arms(found: Candidates, sae: SAE, count: int, found_in: str) -> list[Arm]:
    """One of each of FEATURE_METHODS, of `count` features or as many as there are.

    effect: largest |d|. output: largest output score among the CANDIDATES of largest |d|. attribution: largest |Σ gradient·Δz|.
    together: smallest mean rank of the three among the candidates on whose sign d and attribution agree. The sign is that
    of d, of attribution that of the attribution. Raises InputError where no live feature differs between the genders.
    """
    candidates = strongest(found.d)
    if not len(candidates):
        raise InputError(
            f"features to steer by, found in {found_in}",
            found="no live feature that differs between the genders on select",
            expected="some",
            mend="train the SAE with more features or longer, or give select more labelled samples",
        )

    def top(of: np.ndarray, score: np.ndarray) -> np.ndarray:
        return of[np.argsort(-score[of], kind="stable")[:count]]

    agreed = candidates[np.sign(found.d[candidates]) == np.sign(found.attribution[candidates])]
    ranks = np.full(len(found.d), np.inf)
    ranks[agreed] = sum(
        np.argsort(np.argsort(-score[agreed], kind="stable"))
        for score in (np.abs(found.d), found.output, np.abs(found.attribution))
    )
    live = np.flatnonzero(found.level.high)
    chosen = {
        "effect": candidates[:count],
        "output": top(candidates[found.output[candidates] > 0], found.output),
        "attribution": top(live[found.attribution[live] != 0], np.abs(found.attribution)),
        "together": top(agreed, -ranks),
    }
    arms = []
    for method, features in chosen.items():
        if len(features):
            sign = np.sign(found.attribution if method == "attribution" else found.d)[features]
            arms.append(_of_features(method, found_in, features, sign, sae, found.level.high))
    return arms


def _of_features(
    method: str, found_in: str, features: np.ndarray, signs: np.ndarray, sae: SAE, high: np.ndarray
) -> Arm:
    rows = sae.W_dec[torch.from_numpy(features).to(sae.W_dec.device)].double().cpu().numpy()
    direction = (signs * high[features]) @ rows
    norm = float(np.linalg.norm(direction))
    return Arm(method, found_in, features.tolist(), [int(sign) for sign in signs], norm, direction)


def direction_arms(x: np.ndarray, female: np.ndarray, language: np.ndarray, found_in: str) -> list[Arm]:
    """One of each of DIRECTION_METHODS; x: (n, d) mean activation of each unit of select; female: (n) bool; language: (n).

    Each language's mean is taken off first. difference: female mean − male mean. probe: weights of a logistic regression.
    pca: first principal component, the way in which female units are further along. Norms: of a difference of means its own,
    of the others that of the difference.
    """
    centred = x.astype(np.float64)
    for name in np.unique(language):
        inside = language == name
        centred[inside] -= (
            centred[inside & female].mean(axis=0) + centred[inside & ~female].mean(axis=0)
        ) / 2
    difference = centred[female].mean(axis=0) - centred[~female].mean(axis=0)
    spread = centred.std(axis=0)
    scaled = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)
    # a decision value is linear in its row: of unit rows less that of 0
    rows = np.vstack([np.zeros(scaled.shape[1]), np.eye(scaled.shape[1])])
    (told,) = path(scaled, female, rows, (PENALTY,))
    weights = np.divide(told[1:] - told[0], spread, out=np.zeros_like(spread), where=spread > 0)
    component = np.linalg.svd(centred - centred.mean(axis=0), full_matrices=False)[2][0]
    component = component * (1 if component @ difference >= 0 else -1)
    norm = float(np.linalg.norm(difference))
    found = dict(zip(DIRECTION_METHODS, (difference, weights, component), strict=True))
    return [
        Arm(method, found_in, [], [], norm, vector / np.linalg.norm(vector) * norm)
        for method, vector in found.items()
        if np.linalg.norm(vector) > 0
    ]


def random_sets(
    features: Sequence[int], used: set[int], level: Level, sae: SAE, count: int, rng: np.random.Generator
) -> list[list[int]]:
    """`count` sets of random features, each one of the NEAREST to one of `features` by frequency and by ‖δ‖ at strength 1 (both
    in logarithms, standardised), live in the same texts, none of `used`, and once a set."""
    norm = level.high * sae.W_dec.double().norm(dim=1).cpu().numpy()
    pool = np.array([i for i in np.flatnonzero(norm > 0).tolist() if i not in used])
    if len(pool) < len(features):
        raise InputError(
            "random features to steer by",
            found=f"{len(pool)} live features that are in no arm",
            expected=f"{len(features)} or more",
            mend="set steering.features lower, or train the SAE with more features",
        )
    with np.errstate(divide="ignore"):
        place = np.log(np.column_stack([level.frequency, norm]))
    spread = place[pool].std(axis=0)
    place = place / np.where(spread > 0, spread, 1)
    sets = []
    for _ in range(count):
        free, chosen = pool, []
        for feature in features:
            away = np.linalg.norm(place[free] - place[feature], axis=1)
            near = free[np.argsort(away, kind="stable")[:NEAREST]]
            chosen.append(int(rng.choice(near)))
            free = free[free != chosen[-1]]
        sets.append(chosen)
    return sets


def random_arms(
    like: Arm, used: set[int], level: Level, sae: SAE, count: int, rng: np.random.Generator
) -> list[Arm]:
    """`random_sets` in the place of the features of an arm, with random signs."""
    sets = random_sets(like.features, used, level, sae, count, rng)
    signs = rng.choice([-1, 1], size=(count, len(like.features)))
    return [
        _of_features("random", str(number), np.array(chosen), own, sae, level.high)
        for number, (chosen, own) in enumerate(zip(sets, signs, strict=True))
    ]


def steering(arm: Arm, sae: SAE, high: np.ndarray, length: float) -> Change:
    """Add strength × the arm, made so long that ‖δ‖ = `length` at strength 1; high: (F) m of the features."""
    scale = length / arm.norm
    if not arm.features:
        return of_direction(torch.from_numpy(arm.direction * scale))
    wanted = [
        float(sign * high[feature] * scale) for sign, feature in zip(arm.signs, arm.features, strict=True)
    ]
    return of_features(sae, arm.features, "steer", levels=wanted)


def neutralising(arm: Arm, sae: SAE, middle: np.ndarray, centre: np.ndarray) -> Change:
    """Strength × the way to the mean of the class means: of each feature, or of x along the direction.

    middle: (F) of features; centre: (d) of activations.
    """
    if arm.features:
        whole = of_features(sae, arm.features, "neutralise", levels=[float(middle[i]) for i in arm.features])
        return lambda x, strength: strength * whole(x, torch.ones_like(strength))
    unit = torch.from_numpy(arm.direction / np.linalg.norm(arm.direction)).float()
    level = float(centre @ unit.double().numpy())

    def change(x: Tensor, strength: Tensor) -> Tensor:
        own = unit.to(x.device)
        return strength * (level - x @ own)[:, None] * own

    return change


def effect_of(effects: pd.DataFrame, condition: str) -> tuple[np.ndarray, np.ndarray]:
    """(F) d on select, 0 where a feature is not live, and (F) the mean of its class means."""
    own = effects[(effects["condition"] == condition) & (effects["split"] == "select")].sort_values("feature")
    d = own["d"].where(own["live"] & np.isfinite(own["d"]), 0.0).to_numpy(np.float64)
    middle = own[["mean_female", "mean_male"]].mean(axis=1).fillna(0.0).to_numpy(np.float64)
    return d, middle
