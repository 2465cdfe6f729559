"""The causal test of specificity: does ablating a language's features harm that language more than the other?"""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from crosslens.alignment.dictionaries import check_digest
from crosslens.alignment.sharing import compare, open_side
from crosslens.errors import InputError
from crosslens.features.splice import (
    Replacement,
    batches,
    check_edits,
    choose,
    mean_activation,
    run_edits,
)
from crosslens.interventions.costs import BOOTSTRAPS, Costs, costs, interval, resamples
from crosslens.interventions.subject import model_and_sae
from crosslens.memory import memory_kept
from crosslens.models.load import LoadedModel
from crosslens.pooling.languages import Pairs, open_codes, pairs_among
from crosslens.stats.nulls import null_band
from crosslens.stats.resampling import stream
from crosslens.stats.tested import tested
from crosslens.tables.documents import read_table, write_json

log = logging.getLogger(__name__)

CONTROLS = 20
"""Random features beside those of one language, at least: with fewer as frequent there is no test."""
AS_FREQUENT = 2.0
"""A control fires at most so many times as often as the feature that it stands beside, and at least as seldom."""
PERMUTATIONS = 19999


def ablate_features(
    *,
    model: dict[str, Any],
    images: Path | None,
    datasets: dict[str, Path],
    tokens: dict[str, list[Path]],
    codes: dict[str, Path],
    sae: Path,
    site: str,
    roles: Sequence[str],
    alpha: float,
    features: int,
    max_samples: int,
    batch: int,
    seed: int,
    out: Path,
    pairs: Pairs | None = None,
) -> None:
    """Write JSON of kind ablation: what it costs each language, in cross-entropy, to lose directions of one SAE's features.

    Keys of the mappings are the languages; pairs: of them, those that are compared (None: every two). Features are called
    specific and shared, as in `alignment.sharing.compare`, on split select, and of each kind the `features` that write
    most are taken (see `chosen_of`); what they cost is told of captions of at most `max_samples` samples of test that
    every language has. Ablated is the direction, x ← x − (x·d̂) d̂ with d̂ the feature's unit decoder row, at all
    positions of `roles` that are no sinks. model: keyword arguments of load_model. Raises InputError where SAE, codes,
    site or model do not belong together, and RuntimeError where ablating nothing changes a logit, or ablating all
    changes none.
    """
    digest = check_digest(sae, next(iter(open_codes(codes).values())).attributes["sae"])
    loaded, autoencoder = model_and_sae(model, sae, site)
    compared = {}
    for pair in pairs_among(datasets, pairs):
        rng = stream(seed, "ablation", *pair)
        sides = {name: open_side(codes[name], tokens[name], datasets[name], "select") for name in pair}
        table, _ = compare(sides, alpha=alpha, rng=rng)
        compared[pair] = chosen_of(table, pair, features, rng)
    ablated = sorted({feature for chosen in compared.values() for feature in chosen.all})
    frames = shared_samples(datasets, max_samples, seed)
    with memory_kept():
        losses = {
            language: measure(
                loaded, site, frames[language], images, batch, roles, autoencoder.W_dec, ablated
            )
            for language in datasets
        }
    weights = resamples(pd.concat([own["group"] for own in losses.values()]), stream(seed, "ablation images"))
    change = {language: costs(own, [*map(str, ablated)], weights) for language, own in losses.items()}
    place = {feature: i for i, feature in enumerate(ablated)}
    document = {
        "site": site,
        "sae": digest,
        "languages": list(datasets),
        "roles_ablated": list(roles),
        "chosen_on": "select",
        "split": "test",
        "samples": len(next(iter(frames.values()))),
        "groups": len(weights),
        "tokens": {language: int(own["tokens"].sum()) for language, own in losses.items()},
        "ce_clean": {language: float(own.clean[0]) for language, own in change.items()},
        "features": features,
        "controls": CONTROLS,
        "as_frequent": AS_FREQUENT,
        "permutations": PERMUTATIONS,
        "bootstraps": BOOTSTRAPS,
        "alpha": alpha,
        "seed": seed,
        "pairs": [
            told(pair, chosen, change, place, stream(seed, "ablation null", *pair))
            for pair, chosen in compared.items()
        ],
    }
    write_json(out, "ablation", document)


class Specific(NamedTuple):
    """Of one language."""

    found: int
    """Features called specific to it on select."""
    strata: list[tuple[int, list[int]]]
    """A feature of these, and the random ones that fire as often there and are specific to neither language."""
    unmatched: int
    """Stronger ones that have too few such beside them."""


class Chosen(NamedTuple):
    """What is ablated for one pair of languages."""

    specific: dict[str, Specific]
    shared: list[int]
    shared_found: int
    rates: dict[str, np.ndarray]
    """(F) share of each language's tokens on which a feature fires, on select."""

    @property
    def all(self) -> set[int]:
        """Ids of all features."""
        matched = [(feature, *beside) for of in self.specific.values() for feature, beside in of.strata]
        return {*self.shared, *(feature for row in matched for feature in row)}


def chosen_of(table: pd.DataFrame, pair: tuple[str, str], count: int, rng: np.random.Generator) -> Chosen:
    """The features to ablate, by a table of `sharing.compare`.

    Of those specific to a language the `count` of largest ν, the mean activation a token there less that in the other
    language, which have enough beside them; of those that are shared and specific to neither, the `count` of largest mean
    activation where they are weaker. Beside each specific one stand as many random features as make CONTROLS or more
    together, two at least: live in that language, specific to neither, and firing there at most AS_FREQUENT times as
    often, or as seldom.
    """
    means, rates = (
        {language: table[f"{name}_{side}"].to_numpy() for language, side in zip(pair, ("first", "second"), strict=True)}
        for name in ("mean", "token_rate")
    )  # fmt: skip
    neither = (table["specific"] == "").to_numpy()
    specific = {}
    for language, other, side in ((pair[0], pair[1], "first"), (pair[1], pair[0], "second")):
        own = np.flatnonzero((table["specific"] == language).to_numpy())
        strongest = own[np.argsort(means[other][own] - means[language][own], kind="stable")]
        pool = np.flatnonzero(neither & table[f"live_{side}"].to_numpy())
        each = max(2, math.ceil(CONTROLS / max(min(count, len(own)), 1)))
        strata, left_out = _beside(strongest, count, pool, rates[language], each, rng)
        specific[language] = Specific(len(own), strata, left_out)
    both = np.flatnonzero((table["shared"] & neither).to_numpy())
    weaker = np.minimum(*(of[both] for of in means.values()))
    shared = both[np.argsort(-weaker, kind="stable")][:count]
    return Chosen(specific, shared.tolist(), len(both), rates)


def _beside(
    features: np.ndarray, count: int, pool: np.ndarray, rate: np.ndarray, each: int, rng: np.random.Generator
) -> tuple[list[tuple[int, list[int]]], int]:
    """The first `count` of the features that have `each` of the pool as frequent, none twice, with these; how many before
    the last of them have not."""
    strata: list[tuple[int, list[int]]] = []
    free, left_out = set(pool.tolist()), 0
    for feature in features.tolist():
        if len(strata) == count:
            break
        least, most = rate[feature] / AS_FREQUENT, rate[feature] * AS_FREQUENT
        near = [control for control in sorted(free) if least <= rate[control] <= most]
        if len(near) < each:
            left_out += 1
            continue
        drawn = rng.choice(near, each, replace=False).tolist()
        free -= set(drawn)
        strata.append((feature, drawn))
    return strata, left_out


def shared_samples(datasets: dict[str, Path], count: int, seed: int) -> dict[str, pd.DataFrame]:
    """At most `count` rows of test, the same samples in every language; InputError where there is none."""
    frames = {language: read_table(dataset, "dataset") for language, dataset in datasets.items()}
    frames = {language: frame[frame["split"] == "test"] for language, frame in frames.items()}
    first, *others = frames.values()
    common = first[first["sample_id"].isin(set.intersection(*({*f["sample_id"]} for f in (first, *others))))]
    if common.empty:
        raise InputError(
            next(iter(datasets.values())),
            found="no sample of test that every language has",
            expected="some",
            mend="give the study more images",
        )
    ids = choose(common, count, seed)["sample_id"]
    return {
        language: frame.set_index("sample_id", drop=False).loc[ids].reset_index(drop=True)
        for language, frame in frames.items()
    }


@torch.inference_mode()
def measure(
    loaded: LoadedModel,
    site: str,
    frame: pd.DataFrame,
    images: Path | None,
    batch: int,
    roles: Sequence[str],
    decoder: Tensor,
    features: Sequence[int],
) -> pd.DataFrame:
    """Losses of each feature's ablation over one language's samples, as of `run_edits`; the edits are called as the ids.

    decoder: (F, d) rows of the SAE.
    """
    *_, limit = mean_activation(loaded, site, batches(loaded, frame, images, batch), roles)
    edits: dict[str, Replacement] = {"identity": without(torch.zeros(decoder.shape[1]))}
    edits |= {str(feature): without(decoder[feature]) for feature in features}
    found = run_edits(loaded, site, frame, images, batch, roles, edits, limit, divergence=False)
    if features:
        check_edits(found.largest["identity"], max(found.largest[str(feature)] for feature in features))
    return found.losses


def without(direction: Tensor) -> Replacement:
    """x (P, d) less what it has along a direction (d): x − (x·d̂) d̂, in float32; of a direction of 0, x itself."""
    norm = direction.norm()
    unit = direction / norm if norm > 0 else direction

    def fn(x: Tensor) -> Tensor:
        along = unit.to(x.device)
        exact = x.float()
        return (exact - (exact @ along)[:, None] * along).to(x.dtype)

    return fn


def told(
    pair: tuple[str, str],
    chosen: Chosen,
    change: dict[str, Costs],
    place: dict[int, int],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """One pair of languages: the means over its specific features beside their controls, over shared ones, and each feature."""
    rows = [
        _row(feature, role, language, beside, chosen, change, place)
        for language, of in chosen.specific.items()
        for beside, controls in of.strata
        for feature, role in ((beside, "specific"), *((control, "control") for control in controls))
    ]
    rows += [_row(feature, "shared", None, None, chosen, change, place) for feature in chosen.shared]
    return {
        "languages": list(pair),
        "specific": [
            _specific(language, chosen.specific[language], change[language], change[other], place, rng)
            for language, other in (pair, pair[::-1])
        ],
        "shared": _shared(pair, chosen, change, place),
        "features": rows,
    }


def _specific(
    language: str, of: Specific, own: Costs, other: Costs, place: dict[int, int], rng: np.random.Generator
) -> dict[str, Any]:
    """The features of one language: what they cost it and the other one, and where that is among their controls."""
    because = _because(of)
    strata = np.array(
        [[place[f] for f in (feature, *beside)] for feature, beside in of.strata], dtype=np.int64
    )
    entry = {"language": language, "found": of.found, "unmatched": of.unmatched, **tested(because)}
    entry |= {"features": len(strata), "controls": int(strata[:, 1:].size) if len(strata) else 0}
    measures = {"own": own.draws, "other": other.draws, "difference": own.draws - other.draws}
    entry["of"] = {
        name: _mean(draws, strata[:, 0] if len(strata) else [], own.groups)
        for name, draws in measures.items()
    }
    entry["beside"] = {
        name: _mean(draws, strata[:, 1:].ravel() if len(strata) else [], own.groups)
        for name, draws in measures.items()
    }
    entry["null"] = {
        name: null_band(
            np.empty(0) if because else among_controls(measures[name][0, strata], rng),
            entry["of"][name]["value"],
            tails=1,
            arrangements=strata.shape[-1] ** len(strata),
        )
        for name in ("own", "difference")
    }
    return entry


def _mean(draws: np.ndarray, at: Sequence[int], groups: int) -> dict[str, float | None]:
    """The mean over some of the columns, with its interval; None of none."""
    if not len(at):
        return dict.fromkeys(("value", "low", "high"))
    return interval(draws[:, at].mean(axis=1), groups)


def _because(of: Specific) -> str | None:
    controls = sum(len(beside) for _, beside in of.strata)
    if not of.found:
        return "no feature is specific to it on select"
    if controls < CONTROLS:
        return f"{controls} features that belong to neither language fire as often, and it takes {CONTROLS}"
    return None


def among_controls(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(PERMUTATIONS) means of one of each row of values (n, 1 + c), drawn at random: if being called specific said nothing
    beside how often it fires, the mean of the first column would be one of these."""
    rows = np.arange(len(values))[:, None]
    return values[rows, rng.integers(0, values.shape[1], size=(len(values), PERMUTATIONS))].mean(axis=0)


def _row(
    feature: int,
    role: str,
    language: str | None,
    beside: int | None,
    chosen: Chosen,
    change: dict[str, Costs],
    place: dict[int, int],
) -> dict[str, Any]:
    return {
        "feature": feature,
        "role": role,
        "language": language,
        "beside": beside,
        "token_rate": {name: float(rate[feature]) for name, rate in chosen.rates.items()},
        "cost": {
            name: interval(change[name].draws[:, place[feature]], change[name].groups)
            for name in chosen.rates
        },
    }


def _shared(
    pair: tuple[str, str], chosen: Chosen, change: dict[str, Costs], place: dict[int, int]
) -> dict[str, Any]:
    at = [place[feature] for feature in chosen.shared]
    (first, groups), (second, _) = ((change[name].draws, change[name].groups) for name in pair)
    measures = {"first": first, "second": second, "difference": first - second}
    return {
        "found": chosen.shared_found,
        "features": len(at),
        "of": {name: _mean(draws, at, groups) for name, draws in measures.items()},
    }
