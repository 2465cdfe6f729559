"""Which features of an SAE of several languages do two languages share, and which belong to one?"""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from crosslens.alignment.dictionaries import check_digest
from crosslens.alignment.pairs import CELLS, PERMUTATIONS, beyond_chance, orders_of, permutation_p, shared_p
from crosslens.alignment.scaling import linear_decoder, pooled_captions, scaled
from crosslens.pooling.images import ImageTable, by_image
from crosslens.pooling.languages import Pairs, open_codes, pairs_among
from crosslens.pooling.pool import pool_codes, pooled_tokens
from crosslens.stats.resampling import stream, units
from crosslens.stats.tested import tested
from crosslens.tables.codes import Codes
from crosslens.tables.documents import read_table, write_json, write_table
from crosslens.tables.tokens import read_tokens

log = logging.getLogger(__name__)

LIVE_UNITS = 5
"""A feature is live in a language when it fires in at least so many of the units."""
LEAST_GROUPS = 8
"""Fewer have so few ways to be exchanged that no p can be small: 2 / 2⁸."""
EXCLUSIVE = 0.8
"""Selectivity of what fires nine times as often in one language as in the other."""

COLUMNS = {
    "feature": np.int64,
    **dict.fromkeys(("first", "second"), object),
    **dict.fromkeys(("live_first", "live_second"), bool),
    **{f"{name}_{side}": float for name in ("token_rate", "sample_rate", "mean", "nu") for side in ("first", "second")},
    **dict.fromkeys(("entropy", "r", "p_shared", "q_shared"), float),
    "shared": bool,
    **dict.fromkeys(("token_selectivity", "sample_selectivity", "p_specific", "q_specific"), float),
    "specific": object,
    **dict.fromkeys(("beta_own", "beta_other", "p_beta", "q_beta"), float),
    "unmasked": bool,
}  # fmt: skip


class Firing(Codes):
    """The same codes, 1 wherever a feature fires."""

    def rows(self, start: int, stop: int) -> csr_array:
        """As of the codes themselves."""
        block = super().rows(start, stop)
        return csr_array((np.ones_like(block.data), block.indices, block.indptr), shape=block.shape)


class Side(NamedTuple):
    """One language's images of a split, three tables of the same rows."""

    strength: ImageTable
    """Mean activation over the tokens."""
    tokens: ImageTable
    """Share of the tokens on which a feature fires."""
    samples: ImageTable
    """Share of the captions in which it fires."""

    def rows(self, keep: np.ndarray) -> "Side":
        """As of ImageTable."""
        return Side(*(table.rows(keep) for table in self))

    def units(self, gender: np.ndarray) -> "Side":
        """One row a group and gender; `gender` (m) is that of both languages, so that the rows stay pairs."""
        return Side(*(replace(table, gender=gender).by_group() for table in self))


def feature_sharing(
    *,
    datasets: dict[str, Path],
    tokens: dict[str, list[Path]],
    codes: dict[str, Path],
    activations: dict[str, list[Path]],
    sae: Path,
    alpha: float,
    seed: int,
    out_table: Path,
    out: Path,
    pairs: Pairs | None = None,
) -> None:
    """Each feature of one joint SAE, for pairs of languages: do captions of the same images make it fire alike?

    Keys of the mappings are the languages; pairs: of these, None is every two. Whole captions of split test, label words
    kept, sinks left out; a unit is an image, or the images of one group and gender; see `compare` for what is tested, and
    `scaling.scaled` of what is specific. sae: the folder of the SAE, which one that normalises tokens is not scaled with.
    Writes `out_table` (kind feature_sharing: a row a pair and feature) and `out` (kind sharing). Raises InputError if the
    codes are not of this SAE.
    """
    stored = open_codes(codes)
    first = next(iter(stored.values()))
    check_digest(sae, first.attributes["sae"])
    decoder = linear_decoder(sae)
    sides, raw, lengths = {}, {}, {}
    for language in stored:
        sides[language] = open_side(codes[language], tokens[language], datasets[language])
        raw[language] = pooled_captions(activations[language], tokens[language], datasets[language])
        lengths[language] = _tokens_per_caption(tokens[language], datasets[language])
    tables, results = [], []
    for pair in pairs_among(stored, pairs):
        rng = stream(seed, "sharing", *pair)
        own = {language: sides[language] for language in pair}
        table, told = compare(own, alpha=alpha, rng=rng)
        if decoder is None:
            table = table.assign(
                **dict.fromkeys(("beta_own", "beta_other", "p_beta", "q_beta"), np.nan), unmasked=False
            )
            told["scaling"] = None
        else:
            units = {language: _among(raw[language], own[language]) for language in pair}
            codes_of, x_of = (
                tuple(side.strength.values for side in paired(of).values()) for of in (own, units)
            )
            groups = next(iter(paired(own).values())).strength.group
            table, told["scaling"] = scaled(table, codes_of, x_of, decoder, groups, alpha, rng)
        tables.append(table.assign(**over_languages(sides, pair)))
        results.append(told)
        log.info("%s: %s shared, %s specific", pair, told["shared"]["found"], told["specific"]["found"])
    write_table(out_table, "feature_sharing", pd.concat(tables, ignore_index=True)[list(COLUMNS)])
    document = {
        **{name: first.attributes[name] for name in ("sae", "site")},
        "d_sae": first.d_sae,
        "languages": list(stored),
        "split": "test",
        "unit": "image, or the images of one group and gender",
        "pooled": "the caption's tokens, label words kept, sinks left out",
        "tokens_per_caption": lengths,
        "permutations": PERMUTATIONS,
        "seed": seed,
        "alpha": alpha,
        "live_units": LIVE_UNITS,
        "exclusive": EXCLUSIVE,
        "pairs": results,
    }
    write_json(out, "sharing", document)


def open_side(codes: Path, tokens: list[Path], dataset: Path, split: str = "test") -> Side:
    """One language's images of a split, by the codes of one SAE over whole captions."""
    samples, table = read_table(dataset, "dataset"), read_tokens(tokens)
    samples = samples[samples["split"] == split]
    strength, firing = (
        pool_codes(of(codes), table, samples, condition="caption", mask_labels=False)
        for of in (Codes, Firing)
    )
    fires = (strength.values > 0).astype(np.float64)
    of_images = (
        by_image(values, strength.sample_ids, samples) for values in (strength.values, firing.values, fires)
    )
    return Side(*of_images)


def _tokens_per_caption(tokens: list[Path], dataset: Path) -> float:
    samples, table = read_table(dataset, "dataset"), read_tokens(tokens)
    caption = pooled_tokens(
        table, samples[samples["split"] == "test"], condition="caption", mask_labels=False
    )
    return float(caption.sum() / max(len(np.unique(table.sample[caption])), 1))


def _among(raw: ImageTable, side: Side) -> Side:
    """Activations of the images of a side's codes, in their order: a table three times, as what pairs them takes it."""
    table = raw.rows(np.searchsorted(raw.image_ids, side.strength.image_ids))
    return Side(table, table, table)


def paired(sides: dict[str, Side]) -> dict[str, Side]:
    """Units that both languages have, in the same order."""
    (first, one), (second, other) = sides.items()
    _, i, j = np.intersect1d(one.strength.image_ids, other.strength.image_ids, return_indices=True)
    gender = one.strength.gender[i]
    return {first: one.rows(i).units(gender), second: other.rows(j).units(gender)}


def compare(
    sides: dict[str, Side], *, alpha: float, rng: np.random.Generator
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """What two languages (the keys) share: a table with a row a feature, and its counts beside those by chance.

    shared: live in both, and Pearson's r of the activations of the same units is above that of shuffled pairs (one-sided).
    specific: the selectivity (f₁ − f₂) / (f₁ + f₂) of the firing rates a token, and that of the rates a caption, have one
    sign and are both beyond exchanging the languages within pairs (the larger p of both, two-sided): one language may
    have more tokens a caption than the other, and either rate alone would tell so. q: Benjamini-Hochberg over the features
    that are live in both, and in either; a feature may be shared and fire more often in one language.
    """
    pairs = paired(sides)
    (first, one), (second, other) = pairs.items()
    groups = one.strength.group
    features, number = one.strength.values.shape[1], len(np.unique(groups))
    live = [csr_array(side.strength.values > 0).sum(axis=0) >= LIVE_UNITS for side in (one, other)]
    because = (
        f"there are {number} independent pairs, and it takes {LEAST_GROUPS}"
        if number < LEAST_GROUPS
        else None
    )
    table = pd.DataFrame({"feature": np.arange(features, dtype=np.int64), "first": first, "second": second})
    table["live_first"], table["live_second"] = live
    for name, part in (("token_rate", "tokens"), ("sample_rate", "samples"), ("mean", "strength")):
        for side, of in (("first", one), ("second", other)):
            table[f"{name}_{side}"] = _mean(getattr(of, part))
    for name in ("token", "sample"):
        rates = [table[f"{name}_rate_{side}"].to_numpy() for side in ("first", "second")]
        total = rates[0] + rates[1]
        with np.errstate(invalid="ignore"):
            table[f"{name}_selectivity"] = np.where(total > 0, (rates[0] - rates[1]) / total, np.nan)
    both, either = np.flatnonzero(live[0] & live[1]), np.flatnonzero(live[0] | live[1])
    counts: dict[str, Any] = {}
    for name, tests in (("shared", both), ("specific", either)):
        table[[f"p_{name}", f"q_{name}"]] = np.nan
        counts[name] = tested(because or (None if len(tests) else "no feature is live")) | {
            "features": len(tests)
        }
    table["r"] = np.nan
    r, p = shared_p(one.strength.values[:, both], other.strength.values[:, both], groups, rng)
    table.loc[both, "r"] = r
    found = {"shared": (both, p), "specific": (either, None)}
    if not because:
        found["specific"] = (either, _specific_p(one, other, either, groups, rng))
    # all languages exchanged is nothing else: as many features are as specific
    ways = {"shared": orders_of(groups), "specific": 2 ** (number - 1)}
    for name, (tests, p) in found.items():
        nothing = dict.fromkeys(("mean", "q95", "p", "least_p")) | {"found": 0}
        if counts[name]["tested"]:
            q, nothing = beyond_chance(p, alpha, ways[name])
            table.loc[tests, f"p_{name}"], table.loc[tests, f"q_{name}"] = p[0].astype(np.float64), q
        counts[name] |= nothing
    table["shared"] = (table["q_shared"] <= alpha).to_numpy(dtype=bool)
    significant = (table["q_specific"] <= alpha).to_numpy(dtype=bool)
    table["specific"] = np.where(
        significant, np.where(table["token_selectivity"] > 0, first, second), ""
    ).astype(object)
    told = {
        "languages": [first, second],
        "images": int(len(np.intersect1d(*(side.strength.image_ids for side in sides.values())))),
        "units": len(groups),
        "groups": number,
        "live": _live(*live),
        **counts,
        "classes": _classes(table, [first, second]),
        "r": _quantiles(table.loc[both, "r"]),
    }
    return table, told


def _specific_p(
    one: Side, other: Side, features: np.ndarray, groups: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(1 + PERMUTATIONS, F): the larger p of both rates where they go the same way, else 1."""
    group = units(len(groups), groups)
    signs = np.ones((1 + PERMUTATIONS, int(group.max(initial=-1)) + 1))
    signs[1:] -= 2.0 * rng.integers(0, 2, size=signs[1:].shape)
    p = np.ones((len(signs), len(features)), dtype=np.float32)
    step = max(1, CELLS // max(len(signs), len(groups)))
    for start in range(0, len(features), step):
        at = features[start : start + step]
        sums = [
            signs[:, group]
            @ (getattr(one, part).values[:, at] - getattr(other, part).values[:, at]).toarray()
            for part in ("tokens", "samples")
        ]
        agree = sums[0] * sums[1] > 0
        larger = np.maximum(*(permutation_p(np.abs(each)) for each in sums))
        p[:, start : start + step] = np.where(agree, larger, 1.0)
    return p


def over_languages(sides: dict[str, Side], pair: tuple[str, str]) -> dict[str, np.ndarray]:
    """`nu_first`, `nu_second` and `entropy` (F) of each feature, over the test images of all languages.

    ν: mean activation a token less the mean of those of the other languages (arXiv 2505.05111). entropy: of the firing
    rates a token as shares of their sum, in nats (SAE-LAPE, arXiv 2507.11230); with two languages monotone in |selectivity|.
    NaN for what fires nowhere.
    """
    means = {language: _mean(side.strength) for language, side in sides.items()}
    rates = np.array([_mean(side.tokens) for side in sides.values()])
    total = rates.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = rates / total
        entropy = np.where(total > 0, -np.nansum(shares * np.log(shares), axis=0), np.nan)
    nu = {
        f"nu_{place}": means[language] - np.mean([means[k] for k in means if k != language], axis=0)
        for place, language in zip(("first", "second"), pair, strict=True)
    }
    return nu | {"entropy": entropy}


def _mean(table: ImageTable) -> np.ndarray:
    return np.asarray(table.values.mean(axis=0)).ravel()


def _live(first: np.ndarray, second: np.ndarray) -> dict[str, int]:
    return {
        "both": int((first & second).sum()),
        "first": int((first & ~second).sum()),
        "second": int((~first & second).sum()),
        "neither": int((~first & ~second).sum()),
    }


def _classes(table: pd.DataFrame, languages: list[str]) -> list[dict[str, Any]]:
    """How many features are shared or not, and specific to one language or to none, of those live in either."""
    live = table[table["live_first"] | table["live_second"]]
    classes = []
    for shared in (True, False):
        for language in (None, *languages):
            of = live[(live["shared"] == shared) & (live["specific"] == (language or ""))]
            selectivity = of[["token_selectivity", "sample_selectivity"]].abs().min(axis=1)
            classes.append(
                {
                    "shared": shared,
                    "specific": language,
                    "features": len(of),
                    "exclusive": int((selectivity >= EXCLUSIVE).sum()),
                    "median_selectivity": float(of["token_selectivity"].abs().median()) if len(of) else None,
                }
            )
    return classes


def _quantiles(r: pd.Series) -> dict[str, float | None]:
    known = r.dropna()
    return {
        name: float(known.quantile(share)) if len(known) else None
        for name, share in (("q25", 0.25), ("median", 0.5), ("q75", 0.75))
    }
