"""Rows of one group are one witness: in labels that are shuffled, in draws, halves, folds and the tests of features."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from crosslens.alignment.pairs import orders_of, shuffled_pairs
from crosslens.gender.effects import feature_effects, null_summary
from crosslens.pooling.images import ImageTable
from crosslens.stats.folds import grouped_folds
from crosslens.stats.nulls import null_band
from crosslens.stats.resampling import arrangements, bootstrap_weights, halves, shuffled_labels
from crosslens.stats.tested import permutation_floor

GROUPS = np.array([0, 0, 0, 1, 1, 2, 3, 3, 4, 4, 5])
LABELS = np.array([1, 1, 1, 0, 0, 1, 0, 1, 1, 0, 0], dtype=bool)
"""Groups 0 to 2 and 5 have one label each, 3 and 4 are pairs."""


def test_shuffled_labels_keep_groups_whole_and_pairs_pairs():
    shuffled = shuffled_labels(LABELS, 400, np.random.default_rng(0), GROUPS)
    for group in (0, 1):
        assert (shuffled[GROUPS == group] == shuffled[GROUPS == group][:1]).all()
    for pair in (3, 4):
        inside = shuffled[GROUPS == pair]
        assert (inside.sum(axis=0) == 1).all()
        assert 0.4 < inside[0].mean() < 0.6, "either order"
    alone = shuffled[[0, 3, 5, 10]]
    assert (alone.sum(axis=0) == 2).all() and len(np.unique(alone, axis=1).T) == 6
    without = shuffled_labels(LABELS, 3, np.random.default_rng(1))
    single = shuffled_labels(LABELS, 300, np.random.default_rng(1), np.arange(11))
    assert (without.sum(axis=0) == 6).all() and (single.sum(axis=0) == 6).all()
    assert np.allclose(single.mean(axis=1), 6 / 11, atol=0.1)


@pytest.mark.parametrize("groups", [GROUPS, np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 3, 4]), None])
def test_the_arrangements_are_those_that_are_dealt(groups):
    labels, groups = (LABELS, groups) if groups is not None else (LABELS[:6], None)
    dealt = shuffled_labels(labels, 8000, np.random.default_rng(0), groups)
    ways = arrangements(labels, groups)
    assert ways == len(np.unique(dealt, axis=1).T)
    assert permutation_floor(99, arrangements=ways) == max(1 / ways, 0.01)
    assert permutation_floor(99_999, tails=2, arrangements=ways) == 2 / ways


@pytest.mark.parametrize(
    ("labels", "groups"),
    [
        ([1, 1, 0, 0], [0, 1, 2, 3]),
        ([1, 1, 1, 0], [0, 1, 2, 3]),
        ([1, 0, 1, 0, 1], [0, 0, 1, 1, 2]),
        ([1, 0, 1, 0, 1, 1, 0], [0, 0, 1, 1, 1, 2, 3]),
        ([3, 3, 0, 0, 1], [0, 1, 2, 3, 4]),
        ([3, 3, 0, 0, 1, 2], [0, 1, 2, 3, 4, 5]),
    ],
)
def test_what_cannot_be_told_from_its_mirror_image_counts_once(labels, groups):
    """By drawing: how many different (labels, labels exchanged) there are, of two languages' labels in one number too."""
    labels, groups = np.array(labels), np.array(groups)
    top = 1 if labels.max() == 1 else 3
    dealt = shuffled_labels(labels, 5000, np.random.default_rng(0), groups).T
    same = {min(tuple(row), tuple(top - row)) for row in dealt}
    assert arrangements(labels, groups) == len({tuple(row) for row in dealt})
    assert arrangements(labels, groups, mirror=top - labels) == len(same)


def test_the_least_p_is_that_of_the_plainest_data():
    """Women all above men: no p is smaller, of one tail or two, and of 3 + 3, 4 + 3 and four pairs it is what `arrangements`
    says (exactly, as all orders are drawn)."""
    for n, m, paired in ((3, 3, False), (4, 3, False), (4, 4, True)):
        female = np.repeat([True, False], [n, m])
        groups = np.tile(np.arange(n), 2) if paired else np.arange(n + m)
        values = female + 0.001 * np.arange(n + m)
        every = np.unique(shuffled_labels(female, 20_000, np.random.default_rng(0), groups), axis=1).T
        for statistic, tails, mirror in (
            (lambda f, v=values: abs(v[f].mean() - v[~f].mean()), 1, ~female),
            (lambda f, v=values: v[f].mean() - v[~f].mean(), 2, None),
        ):
            null = np.array([statistic(f) for f in every])
            share = tails * np.mean(null >= statistic(female) - 1e-12)
            ways = arrangements(female, groups, mirror=mirror)
            assert share == pytest.approx(permutation_floor(10**9, tails=tails, arrangements=ways))
            many = np.tile(null, 200)
            band = null_band(many, statistic(female), tails=tails, arrangements=ways)
            assert band["least_p"] == pytest.approx(share) and band["p"] >= band["least_p"] - 1e-12


def test_pairs_have_so_many_orders():
    for groups in ([0, 1, 2, 3], [0, 0, 1, 1], [0, 0, 1, 2]):
        groups = np.array(groups)
        drawn = {tuple(order) for order in shuffled_pairs(groups, 3000, np.random.default_rng(0))}
        assert orders_of(groups) == len(drawn)


def test_a_group_is_drawn_and_halved_as_one():
    rng = np.random.default_rng(0)
    weights, half = bootstrap_weights(LABELS, 200, rng, GROUPS), halves(LABELS, 200, rng, GROUPS)
    for group in range(6):
        rows = GROUPS == group
        assert (weights[rows] == weights[rows][:1]).all() and (half[rows] == half[rows][:1]).all()
    # strata: groups 0 and 2 (female), 1 and 5 (male), 3 and 4 (both)
    for a, b in ((0, 2), (1, 5), (3, 4)):
        first, second = np.argmax(GROUPS == a), np.argmax(GROUPS == b)
        assert (weights[first] + weights[second] == 2).all() and (half[first] != half[second]).all()


def test_folds_cut_no_group_and_are_the_usual_ones_without():
    rng = np.random.default_rng(0)
    groups, y = np.arange(90) // 3, np.repeat(rng.random(30) < 0.5, 3)
    held = []
    for train, out in grouped_folds(y, groups, 5, 0):
        assert not set(groups[train]) & set(groups[out])
        held += out.tolist()
    assert sorted(held) == list(range(90))
    from sklearn.model_selection import StratifiedKFold

    usual = StratifiedKFold(5, shuffle=True, random_state=0).split(np.zeros(90), y)
    for (_, a), (_, b), (_, c) in zip(
        grouped_folds(y, None, 5, 0), usual, grouped_folds(y, np.arange(90), 5, 0), strict=True
    ):
        assert a.tolist() == b.tolist() == c.tolist()


def drawn(rng, *, groups, size, features, correlation, paired):
    """Null images of `groups` people, `size` pictures each; of a pair half of the pictures show either gender."""
    n = groups * size
    group = np.repeat(np.arange(groups), size)
    person = rng.normal(size=(groups, features))[group]
    values = np.sqrt(correlation) * person + np.sqrt(1 - correlation) * rng.normal(size=(n, features))
    fires = np.where(values > 0, np.exp(values), 0.0)
    female = (np.arange(n) % size < size // 2) if paired else rng.permutation(groups)[group] < groups // 2
    gender = np.where(female, "female", "male").astype(object)
    ids = np.array([f"i{i:04d}" for i in range(n)], dtype=object)
    return ImageTable(
        csr_array(fires), ids, gender, np.full(n, "", dtype=object), group.astype(str).astype(object)
    )


def more_than_chance(table, rng, *, by_group=True):
    table = table.by_group() if by_group else table
    found, null = feature_effects(
        table.values,
        table.gender == "female",
        table.group if by_group else None,
        alpha=0.05,
        permutations=39,
        rng=rng,
    )
    observed = int(found["significant"].sum())
    return observed > 0 and null_summary(null, observed)["p"] <= 0.05


def test_pictures_of_sixteen_people_are_no_eighty_witnesses():
    rng = np.random.default_rng(0)
    tables = [drawn(rng, groups=16, size=5, features=100, correlation=0.5, paired=False) for _ in range(60)]
    assert np.mean([more_than_chance(table, rng, by_group=False) for table in tables[:10]]) >= 0.9
    assert np.mean([more_than_chance(table, rng) for table in tables]) <= 0.1
    units = tables[0].by_group()
    assert len(units) == 16 and tables[0].units() == {"female": 8, "male": 8, "pairs": 0}
    inside = tables[0].group == units.group[3]
    assert units.values[[3]].toarray()[0] == pytest.approx(
        tables[0].values[np.flatnonzero(inside)].mean(axis=0)
    )


@pytest.mark.long
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("paired", [False, True])
def test_null_groups_say_more_than_chance_in_a_twentieth(correlation, paired):
    rng = np.random.default_rng(1)
    settings = {"groups": 16, "size": 6 if paired else 5, "features": 100, "correlation": correlation}
    share = np.mean([more_than_chance(drawn(rng, **settings, paired=paired), rng) for _ in range(800)])
    print(f"correlation {correlation}, paired {paired}: {share:.3f}")
    assert share <= 0.0655  # a twentieth and two standard errors


def test_pairs_find_what_the_people_hide():
    """A difference within people that is small beside those between people."""
    rng = np.random.default_rng(0)
    table = drawn(rng, groups=40, size=2, features=30, correlation=0.98, paired=True)
    female = table.gender == "female"
    shifted = table.values.toarray() * np.where(female[:, None] & (np.arange(30) < 10), 1.5, 1.0)
    settings = {"alpha": 0.05, "permutations": 19, "rng": rng}
    paired, _ = feature_effects(csr_array(shifted), female, table.group, **settings)
    alone, _ = feature_effects(csr_array(shifted), female, None, **settings)
    assert paired["significant"][:10].sum() >= 8 and paired["significant"][10:].sum() <= 1
    assert alone["significant"].sum() == 0
    assert (paired["z"][:10] > 0).all()
