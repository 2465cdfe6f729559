"""CLBAS: effects of matched features agree where gender makes them, and not for what the languages share besides."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from scipy.stats import binom, spearmanr

from crosslens.alignment.clbas import Gendered, agreement
from crosslens.pooling.images import ImageTable

IMAGES, FEATURES, DRAWS = 96, 60, 99


def study(rng, effect=0.0, groups=IMAGES):
    """Two languages that see the same pictures, in groups of one gender, by the same features in another order."""
    group = np.arange(IMAGES) % groups
    female = rng.permutation(np.arange(groups) % 2 == 0)[group]
    seen = rng.normal(size=(groups, FEATURES))[group] + 0.3 * rng.normal(size=(IMAGES, FEATURES))
    seen += np.outer(female, effect * rng.normal(size=FEATURES))
    partner = rng.permutation(FEATURES)
    sides = []
    for order in (np.arange(FEATURES), partner):
        values = np.empty((IMAGES, FEATURES))
        values[:, order] = seen + 0.3 * rng.normal(size=seen.shape)
        ids = np.array([f"i{i:03d}" for i in range(IMAGES)], dtype=object)
        gender = np.where(female, "female", "male").astype(object)
        images = ImageTable(csr_array(values), ids, gender, ids, np.char.add("g", group.astype(str)))
        sides.append({"caption": Gendered(np.ones(FEATURES, dtype=bool), images)})
    table = pd.DataFrame(
        {"feature": np.arange(FEATURES), "partner": partner, "shared": np.arange(FEATURES) < 8}
    )
    return table, sides


def d_of(values, female):
    women, men = values[female], values[~female]
    pooled = np.sqrt((women.var(axis=0, ddof=1) + men.var(axis=0, ddof=1)) / 2)
    return (women.mean(axis=0) - men.mean(axis=0)) / pooled


def test_clbas_is_spearman_over_matched_live_features():
    """Features that are live in one language alone are in no pair; a true effect is beyond both nulls."""
    rng = np.random.default_rng(5)
    table, sides = study(rng, effect=2.0)
    sides[0]["caption"].live[0] = sides[1]["caption"].live[table["partner"][1]] = False
    matched, shared = agreement(table, sides, rng, DRAWS)
    images = [side["caption"].images for side in sides]
    female = images[0].gender == "female"
    first, second = (d_of(of.values.toarray(), female) for of in images)
    expected = spearmanr(first[2:], second[table["partner"]][2:])[0]
    assert matched["features"] == FEATURES - 2 and matched["value"] == pytest.approx(expected)
    assert all(null["p"] == 2 / (1 + DRAWS) and null["q975"] < expected for null in matched["null"].values())
    assert shared["features"] == 6 and shared["value"] is None and "6 pairs are live" in shared["because"]
    assert json.dumps([matched, shared])


@pytest.mark.parametrize("groups", [IMAGES, 24])
def test_what_matched_features_see_alike_is_no_agreement_on_gender(groups):
    """Labels are drawn at random: the partners' null alone would claim agreement nearly always, both together at the level."""
    rng, studies = np.random.default_rng(groups), 30
    p = []
    for _ in range(studies):
        matched, _ = agreement(*study(rng, groups=groups), rng, DRAWS)
        assert (matched["images"], matched["groups"]) == (IMAGES, groups)
        p.append([null["p"] for null in matched["null"].values()])
    pairing, both = np.transpose(p)[0], np.max(p, axis=1)
    assert np.mean(pairing <= 0.05) > 0.9
    assert np.sum(both <= 0.05) <= binom.ppf(0.99, studies, 0.05)


def test_too_few_units_of_a_gender_are_not_tested():
    rng = np.random.default_rng(0)
    table, sides = study(rng)
    for side in sides:
        side["caption"].images.gender[:] = "female"
    matched, _ = agreement(table, sides, rng, DRAWS)
    assert matched["value"] is None and matched["because"].startswith("there are 0 male images")
    assert matched["null"]["labels"]["p"] is None
