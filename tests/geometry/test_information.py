"""Mutual information against scikit-learn and by hand, and features that tell a gender in a way that d does not see."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.metrics import mutual_info_score

from crosslens.geometry import information as module
from crosslens.geometry.information import LEVELS, _condition, entropy, information
from crosslens.pooling.images import ImageTable
from crosslens.stats.resampling import stream


def drawn(n=200, features=30, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.exponential(size=(n, features)) * (rng.uniform(size=(n, features)) < 0.5)
    return values, rng.uniform(size=n) < 0.5


def binned(column: np.ndarray) -> np.ndarray:
    """0 for silence, then thirds of what fires."""
    positive = np.sort(column[column > 0])
    cuts = [positive[int(np.ceil(len(positive) * i / LEVELS)) - 1] for i in range(1, LEVELS)]
    return np.where(column > 0, 1 + (column[:, None] > np.array(cuts)).sum(axis=1), 0)


def test_is_that_of_scikit_learn_less_the_bias(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 7)
    values, female = drawn(n=210)
    # thirds that fall on values: as many fire as can be parted in three
    for column in values.T:
        firing = np.flatnonzero(column)
        column[firing[: len(firing) % LEVELS]] = 0
    found = information(csr_array(values), np.column_stack([female, ~female]))
    for column, (own, other) in zip(values.T, found, strict=True):
        bins = binned(column)
        plain = mutual_info_score(bins, female) / np.log(2)
        pairs = len(set(zip(bins.tolist(), female.tolist(), strict=True)))
        bias = (pairs - len(set(bins.tolist())) - 2 + 1) / (2 * len(female) * np.log(2))
        assert own == pytest.approx(plain - bias, abs=0.02) and other == pytest.approx(own)


def test_by_hand():
    # fires for all four women at one strength and for no man: it tells the whole bit; less a bias of (2 − 2 − 2 + 1) / (16 ln 2)
    values = np.array([[2.0, 0]] * 4 + [[0.0, 0]] * 4)
    female = np.arange(8)[:, None] < 4
    found = information(csr_array(values), female)
    assert found[0, 0] == pytest.approx(1 + 1 / (16 * np.log(2)))
    # one bin, two labels, two pairs: nothing, and no bias
    assert found[1, 0] == pytest.approx(0)
    np.testing.assert_allclose(entropy(np.array([0.0, 0.5, 1.0])), [0, 1, 0])
    constant = information(csr_array(values), np.ones((8, 1), dtype=bool))
    np.testing.assert_allclose(constant, 0, atol=1e-12)


def test_unrelated_features_tell_nothing_on_average():
    means = [information(csr_array(v), f[:, None]).mean() for v, f in (drawn(120, seed=s) for s in range(10))]
    assert abs(np.mean(means)) < 0.002
    # without the correction it would be about 3 / (2 · 120 ln 2)
    assert 3 / (2 * 120 * np.log(2)) > 0.015


def table(values, female) -> ImageTable:
    names = np.array([f"i{i}" for i in range(len(female))], dtype=object)
    gender = np.where(female, "female", "male").astype(object)
    return ImageTable(csr_array(values), names, gender, np.full(len(names), "", dtype=object))


def test_a_feature_that_fires_weakly_or_strongly_for_women_is_found():
    """Same mean in both genders: Cohen's d is about 0."""
    halves = {}
    for seed, name in enumerate(("select", "test")):
        values, female = drawn(300, seed=seed)
        rng = np.random.default_rng(seed)
        extreme = np.where(rng.uniform(size=300) < 0.5, 0.2, 1.8)
        values[:, 4] = np.where(female, extreme, 1.0) + 0.05 * rng.normal(size=300)
        halves[name] = table(values, female)
    found = _condition(halves, 199, stream(0, "a"))
    assert found["tested"] and found["above"] == 1 and found["p"] == 0.005
    first = found["top"][0]
    assert first["feature"] == 4 and first["p"] == 0.005 and first["bits"] > 0.35
    assert found["gender_bits"] == pytest.approx(1, abs=0.01)


def false_alarms(studies: int, permutations: int, groups: int) -> float:
    """Share of studies without gender in which a feature stands out; images of one group share values and gender."""
    alarms = []
    for seed in range(studies):
        values, female = drawn(100, features=15, seed=seed)
        values, female = np.repeat(values, groups, axis=0), np.repeat(female, groups)
        images = table(values, female)
        group = np.repeat(np.arange(100), groups).astype(str).astype(object)
        images = ImageTable(images.values, images.image_ids, images.gender, images.category, group).by_group()
        alarms.append(
            _condition({"select": images, "test": images}, permutations, stream(seed, "a"))["p"] <= 0.05
        )
    return float(np.mean(alarms))


def test_nothing_stands_out_where_nothing_is():
    assert false_alarms(60, 39, 1) < 0.15
    few = _condition({name: table(*drawn(8)) for name in ("select", "test")}, 19, stream(0, "a"))
    assert not few["tested"] and "5 of each" in few["because"] and few["top"] == []


@pytest.mark.long
@pytest.mark.parametrize("groups", [1, 3])
def test_false_alarms(groups):
    assert 0.03 < false_alarms(1000, 99, groups) < 0.07
