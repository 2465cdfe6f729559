"""Rank tests agree with scipy where scipy is exact, with every permutation elsewhere, and are calibrated."""

import numpy as np
import pytest
from scipy import stats
from scipy.sparse import csc_array

import crosslens.stats.rank_test as module
from crosslens.errors import InputError
from crosslens.stats.auroc import areas
from crosslens.stats.fdr import benjamini_hochberg
from crosslens.stats.rank_test import RankTest, design_of
from crosslens.stats.resampling import shuffled_labels


def ranked(values, first, groups=None):
    """(p, least p, statistic) of every column."""
    test = RankTest(csc_array(np.asarray(values, dtype=float)), first, design_of(first, groups))
    statistic = test.statistic(first)
    least, (p,) = test.p(statistic)
    return p, least, statistic


def sparse(rng, shape, rate, *, tied=False):
    values = rng.integers(1, 4, size=shape) if tied else rng.lognormal(0, 2, size=shape)
    return np.where(rng.random(shape) < rate, values, 0.0)


def test_without_ties_it_is_the_exact_test_of_scipy():
    rng = np.random.default_rng(0)
    values, first = rng.normal(size=(25, 30)), np.arange(25) < 9
    p, _, statistic = ranked(values, first)
    expected = stats.mannwhitneyu(values[first], values[~first], method="exact", axis=0)
    assert p == pytest.approx(expected.pvalue, rel=1e-9)
    assert statistic + 9 * 16 / 2 == pytest.approx(expected.statistic)
    assert areas(csc_array(values), first) == pytest.approx(expected.statistic / (9 * 16))


def test_pairs_are_tested_as_wilcoxon_does_whatever_their_order():
    rng = np.random.default_rng(0)
    first, groups = np.arange(24) % 2 == 0, np.arange(24) // 2
    values = rng.normal(size=(24, 30)) + rng.normal(size=(12, 30)).repeat(2, axis=0) * 5
    expected = stats.wilcoxon(values[first], values[~first], method="exact", axis=0).pvalue
    order = rng.permutation(24)
    assert ranked(values, first, groups)[0] == pytest.approx(expected)
    assert ranked(values[order], first[order], groups[order])[0] == pytest.approx(expected)


@pytest.mark.parametrize("rate", [0.3, 0.9])
def test_with_ties_pairs_and_singles_it_is_every_permutation(rate):
    """U of the singles and W⁺ of the pairs, for all labels of the singles and both orders of every pair."""
    rng = np.random.default_rng(1)
    values = sparse(rng, (13, 12), rate, tied=True)
    first = np.array([1, 0, 1, 0, 0, 1] + [1, 1, 1, 0, 0, 0, 0], dtype=bool)
    groups = np.array([0, 0, 1, 1, 2, 2, *range(3, 10)])
    p, least, statistic = ranked(values, first, groups)
    from itertools import combinations, product

    far = []
    for chosen in combinations(range(6, 13), 3):
        rest = [row for row in range(6, 13) if row not in chosen]
        u = [
            sum(
                (values[i, f] > values[j, f]) + 0.5 * (values[i, f] == values[j, f])
                for i in chosen
                for j in rest
            )
            for f in range(12)
        ]
        for signs in product([1, -1], repeat=3):
            d = np.array([[1], [1], [-1]]) * (values[0:6:2] - values[1:6:2]) * np.array(signs)[:, None]
            w = [
                (stats.rankdata(np.abs(column[column != 0])) * (column[column != 0] > 0)).sum()
                for column in d.T
            ]
            far.append(np.add(u, w))
    far = np.array(far)
    observed = far[0]
    distance = np.abs(far - far.mean(axis=0))
    assert statistic == pytest.approx(observed - far.mean(axis=0))
    assert p == pytest.approx((distance >= np.abs(observed - far.mean(axis=0)) - 1e-9).mean(axis=0))
    assert least == pytest.approx((distance >= distance.max(axis=0) - 1e-9).mean(axis=0))


def test_few_of_a_small_group_against_few_of_a_large_one():
    """3 of 10 against 2 of 190: the normal approximation says 9e-9, every permutation says 1e-4."""
    values = np.zeros((200, 1))
    values[[0, 1, 2, 10, 11], 0] = [5, 4, 3, 1, 2]
    first = np.arange(200) < 10
    p, least, _ = ranked(values, first)
    # at least these three, or four or five of the five that fire
    expected = stats.hypergeom.sf(3, 200, 5, 10) + stats.hypergeom.pmf(3, 200, 5, 10) / 10
    assert p[0] == pytest.approx(expected, rel=1e-9) and 8e-5 < p[0] < 1.1e-4
    assert least[0] == pytest.approx(stats.hypergeom.pmf(5, 200, 5, 10), rel=1e-9)
    assert stats.mannwhitneyu(values[:10, 0], values[10:, 0], method="asymptotic").pvalue < 1e-8


@pytest.mark.parametrize(("sizes", "fires"), [((50, 200), 120), ((200, 10_000), 150), ((60, 60), 60)])
def test_the_approximation_is_never_too_sure_and_close_where_it_is_used(monkeypatch, sizes, fires):
    rng = np.random.default_rng(0)
    values = np.zeros((sum(sizes), 1))
    values[:fires, 0] = 1 + rng.random(fires)
    first = rng.permutation(sum(sizes)) < sizes[0]
    test = RankTest(csc_array(values), first, design_of(first))
    statistic = test.sd[:, None] * np.array([2.0, 3, 4, 5])
    approximate = test.p(statistic)[1][0]
    monkeypatch.setattr(module, "EXACT_CELLS", 10**9)
    exact = test.p(statistic)[1][0]
    assert not np.array_equal(exact, approximate), "both are the same: nothing was compared"
    assert (approximate >= 0.9 * exact).all() and (approximate <= 4 * exact).all()
    assert approximate[0, 0] == pytest.approx(exact[0, 0], rel=0.6)


def test_many_labels_at_once_equal_one_at_a_time():
    rng = np.random.default_rng(0)
    values, first = sparse(rng, (40, 20), 0.4), np.arange(40) < 12
    values[:, 0], values[:, 1] = 0.0, 7.0
    labels = shuffled_labels(first, 5, rng)
    test = RankTest(csc_array(values), first, design_of(first))
    together = test.p(test.statistic(labels))[1][0]
    for i in range(5):
        assert together[:, i] == pytest.approx(ranked(values, labels[:, i])[0])
    assert (together[:2] == 1).all(), "what does not vary has no difference"


def test_rows_of_one_label_in_one_group_are_refused():
    with pytest.raises(InputError, match="group b"):
        design_of(np.array([True, False, True, True]), np.array(["a", "a", "b", "b"]))


GRID = [
    (sizes, rate, kind)
    for sizes in [(10, 110), (5, 200), (10, 10), (50, 50), (110, 10)]
    for rate in (0.01, 0.05, 0.2, 0.5, 1.0)
    for kind in ("heavy", "tied")
]


def any_significant(sizes, rate, kind, *, studies, features=40):
    """Share of null studies in which Benjamini–Hochberg finds anything among the testable features, at .05."""
    rng = np.random.default_rng([*sizes, int(100 * rate), len(kind)])
    n, width = sum(sizes), studies * features
    p, least, _ = ranked(sparse(rng, (n, width), rate, tied=kind == "tied"), np.arange(n) < sizes[0])
    p = np.where(least <= 0.05, p, np.nan).reshape(studies, features)
    return np.mean([np.any(benjamini_hochberg(row[np.isfinite(row)]) <= 0.05) for row in p])


@pytest.mark.parametrize("sizes", [(10, 110), (5, 200)])
def test_null_studies_show_something_in_a_twentieth_at_most(sizes):
    share = [any_significant(sizes, rate, "heavy", studies=60) for rate in (0.02, 0.05, 0.3)]
    assert np.mean(share) <= 0.1, "60 studies each; the whole grid is `long`"


@pytest.mark.long
@pytest.mark.parametrize(("sizes", "rate", "kind"), GRID)
def test_null_studies_show_something_in_a_twentieth_at_most_over_the_grid(sizes, rate, kind):
    share = any_significant(sizes, rate, kind, studies=1500)
    print(f"{sizes} rate {rate} {kind}: P(any significant) = {share:.3f}")
    # a twentieth, and two standard errors of 1,500 studies
    assert share <= 0.0615
