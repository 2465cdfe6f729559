"""Partial correlations and clustered slopes against least squares, by hand and by simulation."""

import numpy as np
import pytest
from scipy.stats import t

from crosslens.stats.clustered import clustered_slopes
from crosslens.stats.partial import partial_correlations

HOW = {"alpha": 0.05, "permutations": 399}


def residual(y, x):
    design = np.column_stack([np.ones(len(x)), x])
    return y - design @ np.linalg.lstsq(design, y, rcond=None)[0]


def test_r_is_that_of_residuals():
    rng = np.random.default_rng(0)
    values, covariates, label = rng.normal(size=(60, 4)), rng.normal(size=(60, 2)), np.arange(60) % 3 == 0
    found = partial_correlations(values, label, covariates, rng=rng, **HOW)
    for column, r in zip(values.T, found.r, strict=True):
        expected = np.corrcoef(residual(column, covariates), residual(label.astype(float), covariates))[0, 1]
        assert r == pytest.approx(expected)


def test_a_covariate_that_moves_both_is_taken_out_and_a_pair_is_compared_with_itself():
    rng = np.random.default_rng(1)
    label = np.arange(80) % 2 == 0
    length = label + 0.3 * rng.normal(size=80)
    pair = np.arange(80) // 2
    values = np.column_stack(
        [
            length + 0.1 * rng.normal(size=80),
            5 * rng.normal(size=40)[pair] + 0.5 * label + 0.1 * rng.normal(size=80),
        ]
    )
    alone = partial_correlations(values[:, :1], label, np.empty((80, 0)), rng=rng, **HOW)
    assert alone.q[0] <= 0.05
    adjusted = partial_correlations(values[:, :1], label, length[:, None], rng=rng, **HOW)
    assert adjusted.p[0] > 0.05
    free = partial_correlations(values[:, 1:], label, np.empty((80, 0)), rng=rng, **HOW)
    paired = partial_correlations(values[:, 1:], label, np.empty((80, 0)), groups=pair, rng=rng, **HOW)
    assert free.p[0] > 0.05 and paired.p[0] == pytest.approx(1 / 400) and paired.r[0] > 0.9


def test_where_nothing_is_there_p_is_uniform_also_for_few_units_and_values_mostly_0():
    """A covariate goes with the label, and values are skewed; 15 units are those of the embedded study's nouns."""
    rng = np.random.default_rng(2)
    small = []
    for _ in range(60):
        label = rng.permutation(np.arange(15) < 7)
        length = label + rng.normal(size=15)
        values = rng.exponential(size=(15, 20)) * (rng.random((15, 20)) < 0.6) + 0.3 * length[:, None] ** 2
        small.append(
            partial_correlations(values, label, length[:, None], rng=rng, **HOW | {"permutations": 199}).p
        )
    assert np.mean(np.concatenate(small) <= 0.05) == pytest.approx(0.05, abs=0.025)


def test_constant_values_have_no_r():
    found = partial_correlations(
        np.ones((10, 1)), np.arange(10) < 5, np.empty((10, 0)), rng=np.random.default_rng(0), **HOW
    )
    assert np.isnan(found.r[0]) and np.isnan(found.q[0]) and not found.null.any()


def test_slopes_are_least_squares_and_one_row_a_cluster_is_white():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(50, 2)) * [1, 9], rng.normal(size=(50, 3))
    slopes, half = clustered_slopes(y, x, [np.arange(50)] * 2)
    z, v = (a - a.mean(0) for a in (x / x.std(0), y / y.std(0)))
    np.testing.assert_allclose(slopes, np.linalg.lstsq(z, v, rcond=None)[0])
    design = np.column_stack([np.ones(50), z])
    bread = np.linalg.inv(design.T @ design)
    error = (v - z @ slopes)[:, 0]
    white = bread @ (design.T * error**2) @ design @ bread * 50 / 49 * 49 / 47
    np.testing.assert_allclose(half[:, 0], t.ppf(0.975, 49) * np.sqrt(np.diag(white))[1:])


def test_rows_told_twice_do_not_make_an_interval_narrower():
    rng = np.random.default_rng(4)
    x, y, own = rng.normal(size=(40, 1)), rng.normal(size=(40, 1)), np.arange(40)
    once = clustered_slopes(y, x, [own])[1][0, 0]
    twice = clustered_slopes(y.repeat(5, 0), x.repeat(5, 0), [own.repeat(5)])[1][0, 0]
    assert twice == pytest.approx(once, rel=0.03)
    assert np.isnan(clustered_slopes(y, np.column_stack([x, x]), [own, own])[0]).all()
