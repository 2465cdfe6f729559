"""Do the same features carry gender in both languages? The correlation of the per-feature effect sizes."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crosslens.errors import InputError
from crosslens.pooling.images import ImageTable, by_image, shared_images, shared_units
from crosslens.pooling.languages import Pairs, open_codes, pairs_among
from crosslens.pooling.pool import pool_codes
from crosslens.stats.correlation import fisher_interval
from crosslens.stats.effect_correlation import (
    METHODS,
    correlations,
    of_both,
    resampled,
    with_partners_shuffled,
)
from crosslens.stats.effect_size import effect_sizes
from crosslens.stats.resampling import arrangements, bootstrap_weights, halves, shuffled_labels, stream
from crosslens.stats.tested import tested, too_few_units
from crosslens.tables.documents import read_table, write_json
from crosslens.tables.tokens import read_tokens

SPLITS = 50
"""Times the images are dealt into halves."""
LEAST_RELIABILITY = 0.1
"""Of half the images: below it, what is divided by is mostly noise."""


def cross_lingual_bias(
    *,
    effects: dict[str, Path],
    datasets: dict[str, Path],
    tokens: dict[str, list[Path]],
    codes: dict[str, Path],
    conditions: list[str],
    bootstraps: int,
    permutations: int,
    seed: int,
    out: Path,
    pairs: Pairs | None = None,
) -> None:
    """Correlate the d of each feature in one language with its d in the other, on `test` images.

    Only for codes of one joint SAE, of `pairs` of languages (None: every two). Keys of the four mappings are the languages;
    `effects` are the tables of `gender_effects`, which say which features are live and which were significant on `select`.
    Two families: `live` (live on test in both languages) and `chosen` (of these, significant on select in at
    least one language). CI: units (images, or the images of one group and gender) resampled within gender, the same draw
    in both languages. Two nulls: `pairing` shuffles which feature of the one language stands against which of the other;
    `labels` shuffles the gender over the units, the same way in both languages: what two languages that see the same
    pictures share without any gender. Beside r, what it would be without the sampling noise of d, see `disattenuated`.
    Raises InputError if the codes are not of the same SAE.
    """
    languages = list(codes)
    for name, mapping in (("effects", effects), ("datasets", datasets), ("tokens", tokens)):
        if set(mapping) != set(languages):
            raise InputError(
                f"cross_lingual_bias, {name}",
                found=f"languages {sorted(mapping)}",
                expected=f"{sorted(languages)}, those of the codes",
                mend=f"give the {name} of every language",
            )
    stored = open_codes(codes)
    samples = {language: _test_rows(datasets[language]) for language in languages}
    tables = {language: read_tokens(tokens[language]) for language in languages}
    found = {language: read_table(effects[language], "gender_effects") for language in languages}
    results = []
    for condition in conditions:
        images = {}
        for language in languages:
            pooled = pool_codes(stored[language], tables[language], samples[language], condition=condition)
            images[language] = by_image(pooled.values, pooled.sample_ids, samples[language])
        for pair in pairs_among(languages, pairs):
            live, chosen = families([found[language] for language in pair], condition)
            rng = stream(seed, "cross_lingual", condition, *pair)
            results.append(
                {"condition": condition, "languages": list(pair)}
                | compare(
                    *(images[language] for language in pair),
                    live=live,
                    chosen=chosen,
                    bootstraps=bootstraps,
                    permutations=permutations,
                    rng=rng,
                )
            )
    first = stored[languages[0]].attributes
    document = {
        "sae": first.get("sae"),
        "site": first.get("site"),
        "languages": languages,
        "bootstraps": bootstraps,
        "permutations": permutations,
        "seed": seed,
        "unit": "image, or the images of one group and gender",
        "split": "test",
        "families": {
            "live": "live on test in both languages",
            "chosen": "of these, significant on select in at least one language",
        },
        "nulls": {
            "pairing": "features of the second language in random order",
            "labels": "gender shuffled over the images, the same in both languages",
        },
        "attenuation": "d is measured with noise, which the two languages share as far as they see the same pictures: "
        "reliability is the correlation of d on two halves of the images, stepped up to all of them (Spearman-Brown); "
        "disattenuated is the correlation of d of one language on one half with d of the other on the other half, over "
        "the root of the product of the halves' reliabilities",
        "results": results,
    }
    write_json(out, "cross_lingual", document)


def _test_rows(path: Path) -> pd.DataFrame:
    samples = read_table(path, "dataset")
    return samples[samples["split"] == "test"]


def families(tables: list[pd.DataFrame], condition: str) -> tuple[np.ndarray, np.ndarray]:
    """Features (ascending) live on test in all tables, and those of them significant on select in any."""
    live, chosen = None, None
    for table in tables:
        rows = table[table["condition"] == condition]
        split = {name: rows[rows["split"] == name].sort_values("feature") for name in ("select", "test")}
        is_live = split["test"]["live"].to_numpy(dtype=bool)
        is_chosen = split["select"]["significant"].to_numpy(dtype=bool)
        live = is_live if live is None else live & is_live
        chosen = is_chosen if chosen is None else chosen | is_chosen
    if live is None or not len(live):
        raise InputError(
            "effects tables", found="no rows", expected=f"condition {condition}", mend="rebuild the effects"
        )
    return np.flatnonzero(live), np.flatnonzero(live & chosen)


def compare(
    first: ImageTable,
    second: ImageTable,
    *,
    live: np.ndarray,
    chosen: np.ndarray,
    bootstraps: int,
    permutations: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Correlations of the d of two languages for two families of features, with CI and nulls."""
    images, others = shared_images(first, second)
    first, second = shared_units(first, second)
    values = [table.values[:, live] for table in (first, second)]
    female = [table.gender == "female" for table in (first, second)]
    counts = {"female": int(female[0].sum()), "male": int((~female[0]).sum())}
    inside = {"live": np.arange(len(live)), "chosen": np.searchsorted(live, chosen)}
    ones = np.ones((len(first), 1))
    d = [effect_sizes(v, f, ones)[:, 0] for v, f in zip(values, female, strict=True)]
    defined = np.isfinite(d[0]) & np.isfinite(d[1])
    inside = {family: rows[defined[rows]] for family, rows in inside.items()}
    estimate = correlations(d[0][:, None], d[1][:, None], inside)
    # both languages' labels in one number, so that they are shuffled the same way
    labels = 2 * female[0].astype(np.int64) + female[1]
    draws = bootstrap_weights(labels, bootstraps, rng, first.group)
    redrawn = resampled(values, female, inside, draws)
    shuffled = shuffled_labels(labels, permutations, rng, first.group)
    ways = arrangements(labels, first.group, mirror=3 - labels)
    of_labels = resampled(values, [shuffled > 1, shuffled % 2 == 1], inside, np.ones(shuffled.shape))
    noise = disattenuated(values, female, inside, halves(labels, SPLITS, rng, first.group))
    document: dict[str, Any] = {
        "images": {gender: images.counts()[gender] for gender in counts},
        "groups": images.independent(),
        "labels_disagree": int(np.sum(images.gender != others.gender)),
    }
    few = too_few_units(counts, 2)
    for family, rows in inside.items():
        because = few or (f"{len(rows)} features are live in both languages" if len(rows) < 3 else None)
        paired = with_partners_shuffled(d[0][rows], d[1][rows], permutations, rng)
        document[family] = (
            tested(because)
            | {"features": len(rows)}
            | {
                method: _statement(
                    float(estimate[family, method][0]),
                    redrawn[family, method],
                    {"pairing": paired[method], "labels": of_labels[family, method]},
                    len(rows),
                    ways,
                )
                | noise[family, method]
                for method in METHODS
            }
        )
    document["scatter"] = {
        "feature": live[defined].tolist(),
        "d": [x[defined].tolist() for x in d],
        "chosen": np.isin(live[defined], chosen).tolist(),
    }
    return document


def disattenuated(
    values: list[Any], female: list[np.ndarray], inside: dict[str, np.ndarray], half: np.ndarray
) -> dict[tuple[str, str], dict[str, Any]]:
    """(family, method) -> `reliability` of each language's d, and `disattenuated`, r without the sampling noise of d.

    half: (m, S) bool, S times one half of the units. Both are means over the splits. The noise of the two languages is
    independent only between halves, so that Spearman's (1904) correction is that of r between them; it may exceed 1 by
    noise. None where d of half the units is too unreliable to divide by.
    """
    parts = [
        [effect_sizes(v, f, (half == side).astype(np.float64)) for side in (True, False)]
        for v, f in zip(values, female, strict=True)
    ]
    within = [correlations(*halves_of_one, inside) for halves_of_one in parts]
    across = [correlations(parts[0][i], parts[1][1 - i], inside) for i in (0, 1)]
    found = {}
    for key in across[0]:
        reliability = [_mean(one[key]) for one in within]
        r = _mean(np.concatenate([one[key] for one in across]))
        known = np.isfinite(r) and min(reliability) >= LEAST_RELIABILITY
        found[key] = {
            "reliability": [float(2 * x / (1 + x)) if x > -1 else None for x in reliability],
            "disattenuated": float(r / np.sqrt(reliability[0] * reliability[1])) if known else None,
        }
    return found


def _mean(r: np.ndarray) -> float:
    r = r[np.isfinite(r)]
    return float(r.mean()) if len(r) else float("nan")


def _statement(
    estimate: float, resampled: np.ndarray, nulls: dict[str, np.ndarray], features: int, ways: int
) -> dict[str, Any]:
    """A correlation with its 95 % interval and, per null, mean, 2.5 % and 97.5 % quantiles and two-sided p."""
    low, high = fisher_interval(estimate, resampled)
    defined = bool(np.isfinite(estimate))
    return {
        "r": estimate if defined else None,
        "low": low,
        "high": high,
        "null": of_both(nulls, estimate if defined else None, features, ways),
    }
