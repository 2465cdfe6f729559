"""Intervals hold what they are called: d, the area under the curve, shares."""

import numpy as np
import pytest
from scipy import stats
from scipy.sparse import csr_array
from sklearn.metrics import roc_auc_score

from crosslens.stats.auroc import auroc, auroc_interval, permuted_auroc_p
from crosslens.stats.correlation import fisher_interval, pearson
from crosslens.stats.effect_correlation import correlations, resampled
from crosslens.stats.effect_size import cohen_d_interval, effect_sizes
from crosslens.stats.means import paired_difference_interval, resampled_interval
from crosslens.stats.rank_test import design_of
from crosslens.stats.resampling import bootstrap_weights
from crosslens.stats.shares import mean_share_interval, share_interval
from crosslens.stats.witnesses import witnesses


def draw(rng, kind, rate, shape, scale=1.0):
    if kind == "normal":
        return 5 + rng.normal(0.5 * (scale - 1), 1.0, size=shape)
    values = rng.exponential(size=shape) if kind == "exponential" else rng.lognormal(0, 0.5, size=shape)
    return np.where(rng.random(shape) < rate, 0.2 + scale * values, 0.0)


def d_coverage(sizes, kind, rate, scale, *, studies, seed=0):
    """(share of the intervals that hold the true d, share of studies that have one)."""
    rng = np.random.default_rng([seed, *sizes, int(100 * rate), int(10 * scale)])
    n, m = sizes
    big = [draw(rng, kind, rate, 400_000, s) for s in (scale, 1.0)]
    pooled = ((n - 1) * big[0].var() + (m - 1) * big[1].var()) / (n + m - 2)
    true = (big[0].mean() - big[1].mean()) / np.sqrt(pooled)
    values = np.concatenate(
        [draw(rng, kind, rate, (size, studies), s) for size, s in zip(sizes, (scale, 1.0), strict=True)]
    )
    first = np.arange(n + m) < n
    low, high = cohen_d_interval(values, first, design_of(first))
    shown = np.isfinite(low)
    return np.mean((low <= true) & (true <= high), where=shown) if shown.any() else np.nan, shown.mean()


@pytest.mark.parametrize(
    ("sizes", "kind", "rate", "scale"),
    [
        ((10, 10), "normal", 1.0, 1.8),
        ((10, 100), "exponential", 1.0, 1.0),
        ((30, 120), "exponential", 0.4, 1.8),
        ((60, 60), "lognormal", 0.7, 0.6),
    ],
)
def test_the_interval_of_d_covers(sizes, kind, rate, scale):
    covered, shown = d_coverage(sizes, kind, rate, scale, studies=1500)
    assert 0.925 <= covered <= 0.985 and shown > 0.9


def test_what_fires_in_too_few_has_no_interval():
    """10 against 100 with 5 % firing: the percentile bootstrap held the true d in 57 %."""
    _, shown = d_coverage((10, 100), "exponential", 0.05, 1.0, studies=500)
    assert shown < 0.01
    low, high = cohen_d_interval(np.ones((9, 2)), np.arange(9) < 1, design_of(np.arange(9) < 1))
    assert np.isnan(low).all() and np.isnan(high).all()


D_GRID = [
    (sizes, kind, rate, scale)
    for sizes in [(10, 10), (10, 30), (10, 100), (20, 20), (30, 120), (60, 60), (100, 10)]
    for kind, rate in [
        ("normal", 1.0),
        ("exponential", 1.0),
        ("exponential", 0.7),
        ("exponential", 0.2),
        ("lognormal", 1.0),
    ]
    for scale in (0.6, 1.0, 1.8)
]


@pytest.mark.long
@pytest.mark.parametrize(("sizes", "kind", "rate", "scale"), D_GRID)
def test_the_interval_of_d_covers_over_the_grid(sizes, kind, rate, scale):
    covered, shown = d_coverage(sizes, kind, rate, scale, studies=6000)
    print(f"{sizes} {kind} {rate} {scale}: covered {covered:.3f}, shown {shown:.2f}")
    # where some studies show none, those that do are the lucky ones and are on the safe side
    assert shown < 0.5 or 0.93 - 0.008 <= covered <= 0.99


def test_the_interval_of_paired_d_counts_what_pairs_share():
    rng = np.random.default_rng(0)
    first, groups = np.arange(60) % 2 == 0, np.arange(60) // 2
    person = 5 + rng.normal(size=(30, 3000)).repeat(2, axis=0)
    values = person + 0.4 * rng.normal(size=(60, 3000)) + 0.3 * first[:, None]
    true = 0.3 / np.sqrt(1.16)
    low, high = cohen_d_interval(values, first, design_of(first, groups))
    assert 0.93 <= np.mean((low <= true) & (true <= high)) <= 0.98
    apart = cohen_d_interval(values, first, design_of(first))
    assert (high - low).mean() < 0.7 * (apart[1] - apart[0]).mean()


def test_auroc_is_that_of_sklearn_for_one_and_many_scores_and_classes():
    rng = np.random.default_rng(0)
    scores, classes = np.round(rng.normal(size=(40, 3)), 1), rng.random((40, 3)) < 0.4
    score, y = scores[:, 0], classes[:, 0]
    assert auroc(score, y) == pytest.approx(roc_auc_score(y, score))
    assert auroc(scores, y) == pytest.approx([roc_auc_score(y, each) for each in scores.T])
    assert auroc(score, classes) == pytest.approx([roc_auc_score(each, score) for each in classes.T])
    assert np.isnan(auroc(score, np.ones(40, dtype=bool)))


def auroc_coverage(sizes, area, spread, *, groups=1, correlation=0.0, studies=400):
    """Share of the intervals that hold the area of two normal distributions."""
    rng = np.random.default_rng([*sizes, int(100 * area), int(10 * spread), groups])
    shift, hit = stats.norm.ppf(area) * np.sqrt(1 + spread**2), 0
    for _ in range(studies):
        parts = []
        for size in sizes:
            shared = rng.normal(size=size // groups).repeat(groups)
            parts.append(
                np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * rng.normal(size=len(shared))
            )
        score = np.concatenate([shift + spread * parts[0], parts[1]])
        y = np.arange(len(score)) < len(parts[0])
        low, high = auroc_interval(score, y, np.arange(len(score)) // groups if groups > 1 else None)
        hit += low <= area <= high
    return hit / studies


def test_the_interval_of_an_auroc_covers():
    """Percentiles of a bootstrap of 10 and 10 held an area of .97 in 32 %."""
    assert auroc_coverage((10, 10), 0.97, 1.0) >= 0.92
    assert auroc_coverage((10, 100), 0.7, 3.0) >= 0.9
    assert 0.91 <= auroc_coverage((60, 60), 0.7, 1.0, groups=5, correlation=0.5)
    low, high = auroc_interval(np.arange(20.0), np.arange(20) > 9)
    assert 0.6 < low < 0.9 and high == 1.0
    assert auroc_interval(np.arange(5.0), np.arange(5) > 3) == (None, None)


@pytest.mark.long
@pytest.mark.parametrize("sizes", [(10, 10), (10, 100), (100, 10), (30, 30), (100, 100)])
@pytest.mark.parametrize("area", [0.5, 0.7, 0.9, 0.97])
@pytest.mark.parametrize("spread", [1.0, 3.0])
def test_the_interval_of_an_auroc_covers_over_the_grid(sizes, area, spread):
    covered = auroc_coverage(sizes, area, spread, studies=1500)
    print(f"{sizes} area {area} spread {spread}: covered {covered:.3f}")
    # wider than need be where the larger group has the smaller spread
    assert covered >= 0.93 - 0.012


UNEVEN = {
    "one of sixty": [60] + [2] * 20,
    "one of twenty": [20] + [2] * 20,
    "two of twenty": [20] * 2 + [2] * 20,
    "doubling": [1, 1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 16, 16, 32],
    "few of ten": [10] * 6 + [1] * 30,
}
"""Sizes of groups: identical pictures, a person with an album."""


@pytest.mark.parametrize("sizes", UNEVEN.values(), ids=UNEVEN)
def test_intervals_of_groups_of_different_sizes_cover(sizes):
    """As many groups as there are, whatever their sizes, held an AUROC of .5 in .75 to .94 and a share of .3 in .77 to .96."""
    rng, held, shown, studies = np.random.default_rng(len(sizes)), np.zeros(2), 0, 200
    group = np.arange(len(sizes)).repeat(sizes)
    for _ in range(studies):
        female = (rng.permutation(len(sizes)) < len(sizes) // 2)[group]
        score = np.sqrt(0.8) * rng.normal(size=len(sizes))[group] + np.sqrt(0.2) * rng.normal(size=len(group))
        low, high = auroc_interval(score, female, group)
        shown += low is not None
        held[0] += low is None or low <= 0.5 <= high
        hits = rng.random(len(group)) < rng.beta(0.3, 0.7, size=len(sizes))[group]
        low, high = share_interval(hits, group)
        held[1] += low <= 0.3 <= high
    print(f"{sizes}: {held / studies}, shown {shown / studies:.2f}")
    assert (held / studies >= 0.92).all()
    # where one group has nearly all of a gender, no other number of its can tell how it varies
    assert (shown == 0) == (sizes[0] == 60)


def test_the_interval_of_a_share_is_wilsons_and_groups_count_once():
    expected = stats.binomtest(7, 30).proportion_ci(method="wilson")
    assert share_interval(np.arange(30) < 7) == pytest.approx((expected.low, expected.high))
    clones = share_interval(np.repeat(np.arange(12) < 5, 8), np.repeat(np.arange(12), 8))
    alone = share_interval(np.arange(12) < 5)
    assert clones[1] - clones[0] == pytest.approx(alone[1] - alone[0], rel=0.15)
    assert share_interval(np.ones(40), np.arange(40) // 8)[0] == pytest.approx(share_interval(np.ones(5))[0])
    assert share_interval(np.empty(0)) == (None, None)


def test_the_interval_of_a_mean_of_groups_of_different_sizes_covers():
    """As many resampled groups as there are held the mean in .88."""
    rng, hit, group = np.random.default_rng(0), np.zeros(2), np.arange(15).repeat(UNEVEN["doubling"])
    for _ in range(300):
        values = np.sqrt(0.8) * rng.normal(size=15)[group] + np.sqrt(0.2) * rng.normal(size=len(group))
        weights = bootstrap_weights(np.zeros(len(group)), 300, rng, group)
        means = values @ weights / weights.sum(axis=0)
        for i, number in enumerate((witnesses(group), 15)):
            low, high = resampled_interval(means, number)
            hit[i] += low <= 0 <= high
    assert hit[0] / 300 >= 0.92 and hit[1] < hit[0]
    assert witnesses(np.arange(7)) == 7 and witnesses(np.array([0] * 90 + [1])) == 2


def test_the_interval_of_a_mean_of_few_covers():
    """Percentiles of resamples of ten hold the mean in .91 of the studies."""
    rng, n, hit = np.random.default_rng(0), 10, np.zeros(2)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=999) / n
    for values in rng.normal(size=(1500, n)):
        means = weights @ values
        for i, (low, high) in enumerate((resampled_interval(means, n), np.quantile(means, [0.025, 0.975]))):
            hit[i] += low <= 0 <= high
    assert 0.93 <= hit[0] / 1500 <= 0.97 and hit[1] / 1500 < 0.93


@pytest.mark.parametrize(
    ("n", "more", "less"), [(10, 0.1, 0.1), (20, 0.6, 0.05), (60, 0.05, 0.0), (200, 0.1, 0.1)]
)
def test_the_interval_of_a_difference_of_paired_shares_covers(n, more, less):
    """Where hardly a unit differs it is wider than need be; a resample of units that are all alike would have no width."""
    rng, hit, studies = np.random.default_rng(n), 0, 3000
    for differences in rng.choice([1, -1, 0], p=[more, less, 1 - more - less], size=(studies, n)):
        low, high = paired_difference_interval(differences)
        hit += low <= more - less <= high
    assert 0.93 <= hit / studies
    low, high = paired_difference_interval(np.zeros(n))
    assert low == -high < 0


def share_coverage(groups, size, share, correlation, *, studies):
    """Share of the intervals that hold the share: of rows in groups, and of the groups' mean shares."""
    rng = np.random.default_rng([groups, size, int(100 * share), int(10 * correlation)])
    k, group, hit = (1 - correlation) / correlation, np.repeat(np.arange(groups), size), np.zeros(2)
    for _ in range(studies):
        lean = rng.beta(k * share, k * (1 - share), size=groups)
        hits = (rng.random((groups, size)) < lean[:, None]).astype(float)
        for i, (low, high) in enumerate(
            (share_interval(hits.ravel(), group), mean_share_interval(hits.mean(axis=1), hits.size))
        ):
            hit[i] += low <= share <= high
    return hit / studies


def test_the_interval_of_a_rare_share_in_strong_clusters_covers():
    """30 groups of five, of whose rows .05 hit: what trusts the spread of three groups that have any held .90."""
    assert share_coverage(30, 5, 0.05, 0.5, studies=500).min() >= 0.93
    assert share_coverage(16, 5, 0.2, 0.5, studies=500).min() >= 0.92
    # a normal quantile, or t of all 60 groups, of which one in six has a hit: .927
    assert share_coverage(60, 16, 0.05, 0.5, studies=1500)[0] >= 0.945


@pytest.mark.long
@pytest.mark.parametrize("groups", [10, 16, 30, 60, 100])
@pytest.mark.parametrize("size", [3, 5, 16])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("correlation", [0.1, 0.2, 0.5, 0.9])
def test_the_interval_of_a_share_covers_over_the_grid(groups, size, share, correlation):
    covered = share_coverage(groups, size, share, correlation, studies=1500)
    print(f"{groups} of {size}, share {share}, correlation {correlation}: {covered.round(3)}")
    # wider than need be where few groups can tell how wide it must be
    assert covered.min() >= 0.93 - 0.013


@pytest.mark.parametrize(
    ("mean", "correlation", "least"),
    [(0.05, 0.3, 0.93), (0.2, 0.6, 0.93), (0.5, 0.3, 0.93), (None, None, 0.8)],
)
def test_the_interval_of_pictures_covers_but_for_rare_ones(mean, correlation, least):
    """Five pictures of 16 captions whose shares are drawn from a beta distribution; and twelve, of which one in ten says
    woman always and the others one caption in five: as often as not none is among them, so that no interval can know."""
    rng, draws, held = np.random.default_rng(0), 300, 0
    n, truth = (5, mean) if mean else (12, 0.9 * 0.2 + 0.1)
    for _ in range(draws):
        if mean:
            p = rng.beta(*(np.array([mean, 1 - mean]) * (1 / correlation - 1)), n)
        else:
            p = np.where(rng.random(n) < 0.1, 1.0, 0.2)
        low, high = mean_share_interval(rng.binomial(16, p) / 16, 16 * n)
        held += low - 1e-12 <= truth <= high + 1e-12
    assert held / draws >= least - 3 * np.sqrt(least * (1 - least) / draws)
    assert mean or held / draws < 0.93, "docs/statistics.md says that these are not 95 %"


def test_the_p_of_several_scores_is_that_of_each_alone():
    rng = np.random.default_rng(0)
    y = rng.random(40) < 0.5
    scores = rng.normal(size=(40, 3)) + np.outer(y, [0.0, 0.5, 2.0])
    groups = np.arange(40) // 2
    for of in (None, groups):
        alone = [permuted_auroc_p(score, y, of, 499, np.random.default_rng(1)) for score in scores.T]
        together = permuted_auroc_p(scores, y, of, 499, np.random.default_rng(1))
        assert together.tolist() == alone and isinstance(alone[0], float)
    assert alone[2] < 0.01 < alone[0]


def agreement(n, features, rho, sd, shared, *, studies, draws=100):
    """How often the range of r between the effects of two languages holds r as others of its kind find it on average, and how
    often the correlation of the true effects, which no picture blurs.

    n: pictures of each gender; sd: of the true effects; shared: of the pictures' own variance, what both languages see.
    """
    rng = np.random.default_rng([n, features, int(100 * rho), int(100 * sd), int(10 * shared)])
    female, own = np.arange(2 * n) < n, rng.standard_normal((2, features))
    true = sd * np.array([own[0], rho * own[0] + np.sqrt(1 - rho**2) * own[1]])
    methods = {"pearson": pearson}
    inside, key = {"live": np.arange(features)}, ("live", "pearson")

    def pictures():
        """(2 n, features), of which neighbours go together."""
        drawn = rng.standard_normal((2 * n, features + 1))
        return np.sqrt(0.5) * (drawn[:, 1:] + drawn[:, :-1])

    found = []
    for _ in range(studies):
        seen = pictures()
        values = [
            csr_array(np.sqrt(shared) * seen + np.sqrt(1 - shared) * pictures() + female[:, None] * effect)
            for effect in true
        ]
        d = [effect_sizes(of, female, np.ones((2 * n, 1))) for of in values]
        weights = bootstrap_weights(female, draws, rng)
        r = correlations(*d, inside, methods)[key][0]
        found.append((r, *fisher_interval(r, resampled(values, [female] * 2, inside, weights, methods)[key])))
    r, low, high = np.array(found).T
    return tuple(np.mean((low <= mark) & (mark <= high)) for mark in (r.mean(), pearson(*true)))


def test_the_range_of_a_correlation_of_effects_is_none_of_the_true_one():
    """It is called a range: of the true effects, blurred by few pictures, it holds the correlation hardly ever."""
    blurred, true = agreement(30, 60, 0.9, 0.3, 0.0, studies=25)
    assert blurred >= 0.8 and true <= 0.2


@pytest.mark.long
@pytest.mark.parametrize("shared", [0.0, 0.8])
@pytest.mark.parametrize("sd", [0.3, 1.0])
@pytest.mark.parametrize("rho", [0.0, 0.9])
@pytest.mark.parametrize(("n", "features"), [(10, 30), (30, 200), (75, 100)])
def test_the_range_of_a_correlation_of_effects_over_the_grid(n, features, rho, sd, shared):
    blurred, true = agreement(n, features, rho, sd, shared, studies=200)
    print(
        f"\nrange of r: n {n}, {features} features, {rho}, sd {sd}, shared {shared}: {blurred:.3f}, true {true:.3f}"
    )
    assert blurred >= 0.75
