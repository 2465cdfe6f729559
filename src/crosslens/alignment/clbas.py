"""CLBAS: do matched features have gender effects of one sign and order in both languages?"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from crosslens.alignment.pairs import PERMUTATIONS
from crosslens.pooling.images import ImageTable, by_image, shared_images, shared_units
from crosslens.pooling.pool import pool_codes
from crosslens.stats.correlation import spearman
from crosslens.stats.effect_correlation import of_both, resampled, with_partners_shuffled
from crosslens.stats.effect_size import effect_sizes
from crosslens.stats.resampling import arrangements, shuffled_labels
from crosslens.stats.tested import tested, too_few_units
from crosslens.tables.codes import Codes
from crosslens.tables.documents import read_table
from crosslens.tables.tokens import read_tokens

METHOD = {"spearman": spearman}
LEAST_FEATURES = 10
"""Fewer pairs have no correlation worth a number."""


class Gendered(NamedTuple):
    """One language in one condition."""

    live: np.ndarray
    """(F) bool: live on test in `gender_effects`."""
    images: ImageTable
    """Of split test, pooled as there."""


def images_of_test(effects: Path, codes: Path, tokens: list[Path], dataset: Path) -> dict[str, Gendered]:
    """Condition of the table of kind gender_effects -> what it was measured on."""
    samples, table, stored = read_table(dataset, "dataset"), read_tokens(tokens), Codes(codes)
    samples = samples[samples["split"] == "test"]
    rows = read_table(effects, "gender_effects", ["feature", "condition", "split", "live"])
    rows = rows[rows["split"] == "test"].sort_values("feature")
    found = {}
    for condition in rows["condition"].unique():
        pooled = pool_codes(stored, table, samples, condition=condition)
        images = by_image(pooled.values, pooled.sample_ids, samples)
        found[condition] = Gendered(
            rows.loc[rows["condition"] == condition, "live"].to_numpy(dtype=bool), images
        )
    return found


def agreement(
    table: pd.DataFrame, sides: list[dict[str, Gendered]], rng: np.random.Generator, draws: int = PERMUTATIONS
) -> list[dict[str, Any]]:
    """CLBAS: Spearman over matched features, live on test in both languages, of gender's d in the one and in the other.

    table: `feature`, `partner` and `shared` of each matched pair; sides: as of `images_of_test`, of both languages. In each
    condition, of all matched and of the shared. d is that of the units labelled in both languages. Two nulls, two-sided:
    `pairing` shuffles the partners; `labels` shuffles the gender over the units, the same way in both languages, since
    matched features that see the same pictures share the noise of their d, gender or not.
    """
    columns = [table[name].to_numpy() for name in ("feature", "partner")]
    shared = table["shared"].to_numpy()
    results = []
    for condition in sides[0]:
        both = [side[condition] for side in sides]
        images, _ = shared_images(*(side.images for side in both))
        units = shared_units(*(side.images for side in both))
        values = [of.values[:, at] for of, at in zip(units, columns, strict=True)]
        female = [of.gender == "female" for of in units]
        d = [effect_sizes(v, f, np.ones((len(f), 1)))[:, 0] for v, f in zip(values, female, strict=True)]
        known = np.all([side.live[at] for side, at in zip(both, columns, strict=True)], axis=0)
        known &= np.isfinite(d[0]) & np.isfinite(d[1])
        inside = {"matched": known, "shared": known & shared}
        # both languages' labels in one number, so that they are shuffled the same way
        labels = 2 * female[0].astype(np.int64) + female[1]
        shuffled = shuffled_labels(labels, draws, rng, units[0].group)
        drawn = [shuffled > 1, shuffled % 2 == 1]
        of_labels = resampled(values, drawn, inside, np.ones(shuffled.shape), METHOD)
        counts = {"female": int(female[0].sum()), "male": int((~female[0]).sum())}
        of_units = arrangements(labels, units[0].group, mirror=3 - labels)
        for family, rows in inside.items():
            x, y = (of[rows] for of in d)
            because = too_few_units(counts, 2)
            if because is None and len(x) < LEAST_FEATURES:
                because = f"{len(x)} pairs are live in both, and it takes {LEAST_FEATURES}"
            value = None if because else float(spearman(x, y))
            nulls = {
                "pairing": with_partners_shuffled(x, y, 0 if because else draws, rng, METHOD)["spearman"],
                "labels": of_labels[family, "spearman"],
            }
            results.append(
                {"condition": condition, "family": family, "features": len(x)}
                | {"images": len(images), "groups": images.independent()}
                | tested(because)
                | {"value": value, "null": of_both(nulls, value, len(x), of_units)}
            )
    return results
