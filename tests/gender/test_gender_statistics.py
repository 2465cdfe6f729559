"""The statistics against scipy and statsmodels, and against what they promise."""

import numpy as np
import pytest
from scipy import stats
from scipy.sparse import csr_array

from crosslens.gender.effects import _summary, _untested, feature_effects
from crosslens.stats.correlation import fisher_interval, pearson, spearman
from crosslens.stats.effect_size import cohen_d, hedges_factor, moments
from crosslens.stats.fdr import benjamini_hochberg
from crosslens.stats.resampling import bootstrap_weights, shuffled_labels
from crosslens.stats.sign_flips import sign_flip_p
from crosslens.stats.welch import welch

WAYS = 10**9
"""Arrangements of labels that are no few."""


@pytest.fixture(scope="module")
def tied():
    """(values (60, 40) with many zeros, ties and negatives, female (60))."""
    rng = np.random.default_rng(0)
    values = rng.integers(-2, 6, size=(60, 40)).astype(np.float64)
    values[rng.random(values.shape) < rng.random(40)] = 0.0
    values[:, 0] = 0.0
    values[:, 1] = 7.0
    return values, rng.random(60) < 0.4


def test_effect_sizes_and_welch_as_in_statsmodels_and_scipy(tied):
    from statsmodels.stats.meta_analysis import effectsize_smd

    values, female = tied
    a, b = moments(csr_array(values), female), moments(csr_array(values), ~female)
    x, y = values[female], values[~female]
    assert a.mean == pytest.approx(x.mean(0)) and a.variance == pytest.approx(x.var(0, ddof=1))
    d = cohen_d(a, b)
    pooled = ((len(x) - 1) * x.var(0, ddof=1) + (len(y) - 1) * y.var(0, ddof=1)) / (len(x) + len(y) - 2)
    assert d[2:] == pytest.approx((x.mean(0) - y.mean(0))[2:] / np.sqrt(pooled[2:]))
    assert d[:2].tolist() == [0.0, 0.0], "what does not vary has no effect"
    g, _ = effectsize_smd(
        x.mean(0)[2:], x.std(0, ddof=1)[2:], len(x), y.mean(0)[2:], y.std(0, ddof=1)[2:], len(y)
    )
    # statsmodels uses Hedges' approximation 1 - 3/(4m - 1), here it is exact
    assert d[2:] * hedges_factor(len(x), len(y)) == pytest.approx(g, rel=1e-4)
    t, p = welch(a, b)
    expected = stats.ttest_ind(x[:, 2:], y[:, 2:], equal_var=False)
    assert t[2:] == pytest.approx(expected.statistic) and p[2:] == pytest.approx(expected.pvalue)
    assert t[:2].tolist() == [0.0, 0.0] and p[:2].tolist() == [1.0, 1.0]


def test_hedges_factor_is_the_gamma_ratio():
    assert hedges_factor(2, 2) == pytest.approx(0.5641895835)  # 1/sqrt(pi), m = 2
    assert hedges_factor(10, 12) == pytest.approx(1 - 3 / (4 * 20 - 1), abs=1e-4)
    assert np.isnan(hedges_factor(1, 2))


def test_benjamini_hochberg_as_in_statsmodels():
    from statsmodels.stats.multitest import multipletests

    p = np.round(np.random.default_rng(0).random((30, 4)) ** 3, 2)
    for i, q in enumerate(benjamini_hochberg(p).T):
        assert q == pytest.approx(multipletests(p[:, i], method="fdr_bh")[1])
    assert benjamini_hochberg(np.empty(0)).shape == (0,)


def test_correlations_as_in_scipy():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 5, (2, 40, 3)).astype(float)
    for i in range(3):
        assert pearson(x, y)[i] == pytest.approx(stats.pearsonr(x[:, i], y[:, i])[0])
        assert spearman(x, y)[i] == pytest.approx(stats.spearmanr(x[:, i], y[:, i])[0])
    assert np.isnan(pearson(x[:, 0], np.ones(40)))
    assert fisher_interval(float("nan"), x[:, 0]) == (None, None)


def test_interval_of_a_correlation_covers_the_truth_and_survives_perfect_ranks():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        x, y = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=60).T
        picked = rng.integers(0, 60, size=(60, 200))
        low, high = fisher_interval(float(pearson(x, y)), pearson(x[picked], y[picked]))
        covered += low <= 0.6 <= high
    assert 0.9 <= covered / 200 <= 0.98
    x = np.arange(10.0)
    noisy = x[:, None] + rng.normal(0, 1.0, size=(10, 300))
    low, high = fisher_interval(0.976, spearman(np.repeat(x[:, None], 300, axis=1), noisy))
    assert 0.85 < low < 0.976 < high < 1
    low, high = fisher_interval(1.0, spearman(np.repeat(x[:, None], 300, axis=1), noisy))
    assert 0.7 < low < 1 and high == 1
    assert fisher_interval(0.5, np.full(300, 0.5)) == (None, None), (
        "one picture a category: nothing is resampled"
    )


def test_moments_of_a_constant_and_of_a_large_offset():
    values = np.full((50, 2), 0.1)
    values[:, 1] = 1e4 + np.random.default_rng(0).normal(size=50)
    found = moments(csr_array(values), np.ones(50))
    assert found.squares[0] == 0.0
    assert found.variance[1] == pytest.approx(values[:, 1].var(ddof=1), rel=1e-6)


def test_bootstrap_keeps_the_size_of_every_stratum():
    strata = np.array(["a"] * 5 + ["b"] * 9)
    weights = bootstrap_weights(strata, 50, np.random.default_rng(0))
    assert (weights[:5].sum(axis=0) == 5).all() and (weights[5:].sum(axis=0) == 9).all()
    assert np.array_equal(weights, bootstrap_weights(strata, 50, np.random.default_rng(0)))


def test_labels_that_mean_nothing_give_no_discoveries():
    rng = np.random.default_rng(0)
    values = csr_array(np.where(rng.random((90, 300)) < 0.3, rng.exponential(size=(90, 300)), 0.0))
    found = [
        feature_effects(values, rng.random(90) < 0.5, alpha=0.05, permutations=40, rng=rng) for _ in range(10)
    ]
    observed = np.array([table["significant"].sum() for table, _ in found])
    null = np.concatenate([null for _, null in found])
    assert (null > 0).mean() <= 0.08, (
        "under the global null, BH finds anything in at most alpha of the data sets"
    )
    assert (observed > 0).mean() <= 0.3


def test_permutation_null_equals_a_literal_repetition():
    """Shuffle, test each feature by scipy's permutations, adjust with statsmodels, count: the same numbers."""
    from statsmodels.stats.multitest import multipletests

    rng = np.random.default_rng(0)
    values = np.where(rng.random((13, 8)) < 0.8, rng.integers(1, 5, size=(13, 8)), 0.0)
    female = np.arange(13) < 4
    settings = {"alpha": 0.6, "permutations": 12, "live_units": 1}
    table, null = feature_effects(csr_array(values), female, rng=np.random.default_rng(5), **settings)
    assert table["testable"].all()
    ranks = stats.rankdata(values, axis=0)

    def far(first, second, axis):
        return abs(first.sum(axis=axis) - 4 * 7)

    for count, labels in zip(null, shuffled_labels(female, 12, np.random.default_rng(5)).T, strict=True):
        p = stats.permutation_test(
            (ranks[labels], ranks[~labels]),
            far,
            n_resamples=np.inf,
            alternative="greater",
            vectorized=True,
        ).pvalue
        assert count == multipletests(p, alpha=0.6, method="fdr_bh")[0].sum()
    assert null.max() > null.min()


def test_dead_features_and_groups_too_small_to_compare():
    values = np.zeros((20, 3))
    values[:4, 1] = 1.0
    values[:8, 2] = 1.0
    female = np.arange(20) < 10
    rng = np.random.default_rng(0)
    table, _ = feature_effects(csr_array(values), female, alpha=0.05, permutations=5, rng=rng)
    assert table["live"].tolist() == [False, False, True]
    assert table["q"].isna().tolist() == [True, True, False]
    assert np.isnan(table["d"][0]) and table["d"][1] > 0
    one, null = feature_effects(csr_array(values), np.arange(20) < 1, alpha=0.05, permutations=5, rng=rng)
    assert not one["live"].any() and one["d"].isna().all() and not null.any()


def test_blocks_of_features_change_nothing(monkeypatch):
    import crosslens.gender.effects as module

    rng = np.random.default_rng(0)
    values = csr_array(np.where(rng.random((30, 23)) < 0.5, rng.exponential(size=(30, 23)), 0.0))
    female = np.arange(30) < 14

    def run():
        return feature_effects(values, female, alpha=0.5, permutations=20, rng=np.random.default_rng(2))

    table, null = run()
    monkeypatch.setattr(module, "_CELLS", 200)
    blocked, blocked_null = run()
    assert table.equals(blocked) and np.array_equal(null, blocked_null)


def test_sign_flip_is_exact_for_few_and_agrees_for_many():
    rng = np.random.default_rng(0)
    assert sign_flip_p(np.full(5, 0.5), rng) == pytest.approx(2 / 32)
    assert sign_flip_p(np.zeros(5), rng) == 1.0
    x = rng.normal(0.3, 1, size=30)
    expected = stats.permutation_test(
        (x,), np.mean, permutation_type="samples", n_resamples=9999, rng=1
    ).pvalue
    assert sign_flip_p(x, rng) == pytest.approx(expected, abs=0.02)
    assert np.isnan(sign_flip_p(np.empty(0), rng))


@pytest.mark.parametrize(("images", "least"), [(8, 0.015), (25, 0.03)])
def test_sign_flip_is_calibrated_where_images_differ(images, least):
    """p = .5 on average, images lean either way, a handful of draws each: .05 of the tests reject, not more.

    Eight images have so few sign patterns that fewer reject.
    """
    rng = np.random.default_rng(images)
    tests, draws = 1000, 8
    lean = rng.beta(1.0, 1.0, size=(tests, images))
    share = rng.binomial(draws, lean) / draws
    p = np.array([sign_flip_p(row - 0.5, rng, draws=300) for row in share])
    assert least <= np.mean(p <= 0.05) <= 0.07
    captions = share.sum(axis=1) * draws
    naive = np.array([stats.binomtest(int(k), images * draws).pvalue for k in captions[:300]])
    assert np.mean(naive <= 0.05) > 0.2, "captions of one picture are not independent: that test is wrong"


def test_perfect_separation_is_the_strongest_effect():
    """Nothing varies within the genders: d is infinite, listed first, and its direction is that of the test."""
    rng = np.random.default_rng(0)
    female = np.arange(40) < 20
    values = np.where(rng.random((40, 4)) < 0.9, rng.exponential(size=(40, 4)), 0.0)
    values[:, 0] = np.where(female, 3.0, 0.0)
    values[:, 1] = np.where(female, 0.0, 2.0)
    values[:, 2] *= np.where(female, 6.0, 1.0)
    table, null = feature_effects(csr_array(values), female, alpha=0.05, permutations=19, rng=rng)
    assert table["d"][:2].tolist() == [np.inf, -np.inf] and table["auroc"][:2].tolist() == [1.0, 0.0]
    assert table["significant"][:3].all() and (table["p"][:2] < table["p"][2]).all()
    told = _summary(table, table, null, WAYS)
    first = told["top_female"][0]
    assert (first["feature"], first["d"], first["auroc"], first["confirmed"]) == (0, None, 1.0, True)
    assert told["top_male"][0]["feature"] == 1


def test_confirmed_is_significant_in_the_same_direction():
    rng = np.random.default_rng(0)
    female = np.arange(60) < 30
    values = rng.exponential(size=(60, 3)) * np.where(female[:, None], 5.0, 1.0)
    turned = values.copy()
    turned[:, 1] = values[::-1, 1]
    settings = {"alpha": 0.05, "permutations": 19, "rng": rng}
    (select, _), (test, null) = (feature_effects(csr_array(x), female, **settings) for x in (values, turned))
    told = _summary(select, test, null, WAYS)
    assert told["significant"] == told["select"]["significant"] == 3 and told["confirmed"] == 2
    assert {one["feature"]: one["confirmed"] for one in told["top_female"]} == {0: True, 1: False, 2: True}


def test_the_direction_is_that_of_the_test_where_the_mean_says_another():
    """Most women are higher, one man is far above all: the ranks say female, the difference of means male."""
    rng = np.random.default_rng(0)
    female = np.arange(40) < 20
    values = np.where(female, 2.0, 1.0)[:, None] + 0.1 * rng.random((40, 1))
    values[39] = 500.0
    table, null = feature_effects(csr_array(values), female, alpha=0.05, permutations=19, rng=rng)
    assert table["d"][0] < 0 < table["z"][0] and table["auroc"][0] > 0.5 and table["significant"][0]
    told = _summary(table, table, null, WAYS)
    assert len(told["top_female"]) == 1 and not told["top_male"]


def test_what_was_not_tested_says_why():
    found = {"live": 10, "testable": 4}
    both = {"female": 20, "male": 20, "pairs": 0}
    assert _untested(found, both, 0.05, 100) is None
    assert (
        _untested(found, both | {"male": 0}, 0.05, 100) == "there are 0 male images, and it takes 2 of each"
    )
    assert "no feature fires" in _untested(found | {"live": 0}, both, 0.05, 100)
    assert "could have had a p of 0.05" in _untested(found | {"testable": 0}, both, 0.05, 100)
    assert _untested(found, both, 0.05, 18).startswith("18 permutations give no p below 0.0526")
    assert _untested(found, both, 0.05, 19) is None, "1 / (1 + 19) is the level"


def test_what_cannot_reach_the_level_is_live_and_not_testable():
    """Two of sixty: the strongest two are the least likely pair there is, 1 in 1,770."""
    rng = np.random.default_rng(0)
    sparse = np.where(np.arange(60)[:, None] < 5, 1.0 + rng.random((60, 1)), 0.0)
    values, female = csr_array(np.hstack([sparse, rng.random((60, 1))])), np.arange(60) >= 58
    for alpha, testable in ((0.0005, [False, False]), (0.0006, [True, False])):
        table, _ = feature_effects(values, female, alpha=alpha, permutations=9, rng=rng)
        assert table["live"].all() and table["testable"].tolist() == testable
        assert table["q"].notna().tolist() == testable and not table["significant"].any()
