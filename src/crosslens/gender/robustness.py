"""Are the gendered features gendered however one looks? Read otherwise, and in other trainings on the same activations."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from crosslens.errors import InputError
from crosslens.gender.effects import feature_effects
from crosslens.pooling.images import by_image
from crosslens.pooling.pool import How, pool_codes
from crosslens.stats.resampling import stream
from crosslens.tables.codes import Codes
from crosslens.tables.documents import read_json, read_table, write_json
from crosslens.tables.tokens import TokenTable, read_tokens

log = logging.getLogger(__name__)

NEIGHBOURS = 100
"""Features that fire in about as many units as a partner: what it is compared with."""
DRAWS = 1000
READINGS: tuple[How, ...] = ("max", "last")
"""Ways to pool beside the mean."""
SIDES = {"female": 1, "male": -1}


class View(NamedTuple):
    """Another way to look at the same features."""

    view: str
    kind: str
    """`reading`, `seed` or `architecture`."""
    codes: Codes
    how: How
    partner: np.ndarray
    """(F) int64: the feature that stands for each one, -1 for none."""
    cosine: np.ndarray
    """(F) of the two decoder rows; NaN where nothing was matched."""


def gender_robustness(
    *,
    dataset: Path,
    tokens: list[Path],
    codes: Path,
    effects: Path,
    gender: Path,
    seeds: Mapping[str, Path],
    architectures: Mapping[str, Path],
    counterparts: Path | None,
    conditions: list[str],
    alpha: float,
    seed: int,
    language: str,
    out: Path,
) -> None:
    """How many gendered features are gendered in the same direction in every other view. Writes JSON of kind gender_robustness.

    effects, gender: of `gender_effects`, made of `codes`; a feature is gendered where it is significant on test, a view tests
    in the same way and over all of its own features. Views: the strongest and the last token in the place of the mean, and
    the feature's counterpart in the SAEs of `seeds` and `architectures` (name -> codes, of the names in the table
    `counterparts`). All of it on the same test units: what holds in every view may still hang on which images there are.
    Raises InputError where codes, effects and counterparts are of different SAEs.
    """
    samples, table, stored = read_table(dataset, "dataset"), read_tokens(tokens), Codes(codes)
    test = samples[samples["split"] == "test"]
    told = read_json(gender, "gender")
    _same_sae(told["sae"], stored, gender)
    found = read_table(
        effects, "gender_effects", ["feature", "condition", "split", "z", "live", "significant"]
    )
    views = list(_views(stored, seeds, architectures, counterparts))
    results = {}
    for condition in conditions:
        of = found[(found["condition"] == condition) & (found["split"] == "test")].sort_values("feature")
        tested = [(view, *_effects(view, table, test, condition, alpha)) for view in views]
        results[condition] = _robustness(
            directions(of),
            told["conditions"][condition],
            tested,
            stream(seed, "robustness", language, condition),
        )
        log.info("%s: %s", condition, {view["view"]: view["share"] for view in results[condition]["views"]})
    document: dict[str, Any] = {
        "language": language,
        "site": stored.attributes.get("site"),
        "sae": stored.attributes.get("sae"),
        "alpha": alpha,
        "seed": seed,
        "split": "test",
        "neighbours": NEIGHBOURS,
        "draws": DRAWS,
        "views": [
            {"view": view.view, "kind": view.kind, "sae": view.codes.attributes.get("sae")} for view in views
        ],
        "conditions": results,
    }
    write_json(out, "gender_robustness", document)


def _views(
    stored: Codes, seeds: Mapping[str, Path], architectures: Mapping[str, Path], counterparts: Path | None
) -> Iterator[View]:
    own = np.arange(stored.d_sae)
    for how in READINGS:
        yield View(how, "reading", stored, how, own, np.full(stored.d_sae, np.nan))
    table = None if counterparts is None else read_table(counterparts, "counterparts")
    for kind, others in (("seed", seeds), ("architecture", architectures)):
        for name, path in others.items():
            codes, pairs = Codes(path), table[table["other"] == name]
            for column, of in (("sae", stored), ("other_sae", codes)):
                _same_sae(pairs[column].iloc[0], of, counterparts)
            partner, cosine = np.full(stored.d_sae, -1, dtype=np.int64), np.full(stored.d_sae, np.nan)
            partner[pairs["feature"]], cosine[pairs["feature"]] = pairs["partner"], pairs["decoder_cosine"]
            yield View(name, kind, codes, "mean", partner, cosine)


def _same_sae(sae: str, codes: Codes, where: Path) -> None:
    if sae != codes.attributes["sae"]:
        raise InputError(
            where,
            found=f"features of the SAE {sae}",
            expected=f"those of {codes.attributes['sae']}, as in {codes.path}",
            mend="rebuild both from one SAE",
        )


def directions(effects: pd.DataFrame) -> np.ndarray:
    """(F) int64: 1 where a feature is significantly stronger for female, -1 for male, 0 where neither."""
    return np.where(effects["significant"], np.sign(effects["z"]), 0).astype(np.int64)


def _effects(
    view: View, table: TokenTable, test: pd.DataFrame, condition: str, alpha: float
) -> tuple[pd.DataFrame, np.ndarray]:
    """Effects of the view's own features on test, and (F) in how many units each fires."""
    pooled = pool_codes(view.codes, table, test, condition=condition, how=view.how)
    units = by_image(pooled.values, pooled.sample_ids, test).labelled().by_group()
    effects, _ = feature_effects(
        units.values,
        units.gender == "female",
        units.group,
        alpha=alpha,
        permutations=0,
        rng=np.random.default_rng(0),  # nothing is shuffled
    )
    return effects, np.asarray((units.values > 0).sum(axis=0)).ravel()


def _robustness(
    direction: np.ndarray,
    told: dict[str, Any],
    tested: list[tuple[View, pd.DataFrame, np.ndarray]],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """One condition. direction: (F) of the features themselves; told: what kind gender says of them."""
    chosen = np.flatnonzero(direction)
    document: dict[str, Any] = {
        "gendered": {side: int((direction == sign).sum()) for side, sign in SIDES.items()},
        "views": [],
    }
    for view, effects, fires in tested:
        there, partner = directions(effects), view.partner[chosen]
        cosine, has = view.cosine[chosen], partner >= 0
        kept = has & (there[partner] == direction[chosen])
        document["views"].append(
            {
                "view": view.view,
                "kind": view.kind,
                "live": int(effects["live"].sum()),
                "gendered": {side: int((there == sign).sum()) for side, sign in SIDES.items()},
                "testable": int((has & effects["testable"].to_numpy()[partner]).sum()),
                "kept": int(kept.sum()),
                "share": float(kept.mean()) if len(chosen) else None,
                "chance": by_chance(partner, direction[chosen], there, fires, rng),
                "cosine": float(np.nanmedian(cosine)) if np.isfinite(cosine).any() else None,
            }
        )
    document["named"] = [
        {"feature": entry["feature"], "side": side, "confirmed": entry["confirmed"]}
        | {"views": [_named(entry["feature"], sign, *of) for of in tested]}
        for side, sign in SIDES.items()
        for entry in told[f"top_{side}"]
    ]
    return document


def by_chance(
    partner: np.ndarray, sign: np.ndarray, there: np.ndarray, fires: np.ndarray, rng: np.random.Generator
) -> dict[str, float | None]:
    """Mean and 95th percentile of the share with the same direction if partners were drawn among features as frequent.

    partner, sign: (n) feature of the view and direction asked for; there, fires: (F) directions in the view, and in how many
    units each fires. In the place of a partner one of the NEIGHBOURS nearest in `fires`, not itself; without a partner none.
    """
    if not len(partner):
        return {"mean": None, "q95": None}
    order = np.argsort(fires, kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    width = min(NEIGHBOURS, len(order) - 1)
    start = np.clip(place[partner] - width // 2, 0, len(order) - width - 1)
    share = np.zeros(len(partner))
    for direction in SIDES.values():
        before = np.concatenate([[0], np.cumsum(there[order] == direction)])
        inside = before[start + width + 1] - before[start] - (there[partner] == direction)
        at = (sign == direction) & (partner >= 0)
        share[at] = inside[at] / max(width, 1)
    drawn = (rng.random((DRAWS, len(share))) < share).mean(axis=1)
    return {"mean": float(share.mean()), "q95": float(np.quantile(drawn, 0.95))}


def _named(feature: int, sign: int, view: View, effects: pd.DataFrame, fires: np.ndarray) -> dict[str, Any]:
    """What a feature that is named is in a view."""
    partner = int(view.partner[feature])
    found = {"view": view.view, "kind": view.kind, "partner": None, "cosine": None, "z": None, "q": None}
    if partner < 0:
        return found | {"gendered": False}
    row, cosine = effects.iloc[partner], view.cosine[feature]
    known = {"z": row["z"], "q": row["q"], "cosine": cosine}
    told = {name: float(value) if np.isfinite(value) else None for name, value in known.items()}
    return found | told | {"partner": partner, "gendered": bool(row["significant"] and sign * row["z"] > 0)}
