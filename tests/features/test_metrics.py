import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosslens.features.metrics import DENSITY_EDGES, QUANTILES, FiringCounts, L0Counts, ReconstructionSums


def measured(x, x_hat, sizes=None):
    sums = ReconstructionSums(x.shape[1])
    for part in np.split(np.arange(len(x)), np.cumsum(sizes)) if sizes else [np.arange(len(x))]:
        sums.update(x[part], x_hat[part])
    return sums.compute()


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(500, 8)) * np.arange(1, 9) + 30 * rng.normal(size=8)).astype(np.float32)


def test_the_mean_explains_nothing_and_x_everything(x):
    mean = np.broadcast_to(x.astype(np.float64).mean(axis=0), x.shape)
    assert measured(x, mean)["ev"] == pytest.approx(0, abs=1e-12)
    assert measured(x, x)["ev"] == 1.0
    assert measured(x, x)["cosine"] == pytest.approx(1, abs=1e-12)


def test_noise_of_known_size_gives_the_analytic_ev():
    """EV = 1 - d s^2 / sum of the variances."""
    rng = np.random.default_rng(1)
    scales = np.arange(1, 9)
    x = rng.normal(size=(50_000, 8)) * scales + 100
    noisy = x + 0.7 * rng.normal(size=x.shape)
    assert measured(x, noisy)["ev"] == pytest.approx(1 - 8 * 0.49 / (scales**2).sum(), abs=4e-4)


def test_a_constant_offset_is_punished(x):
    """Blind spot of measures that use the variance of the residual."""
    variance = x.astype(np.float64).var(axis=0).sum()
    assert measured(x, x + 5.0)["ev"] == pytest.approx(1 - 8 * 25 / variance, rel=1e-5)


def test_scaled_reconstruction_against_the_formula(x):
    x64, half = x.astype(np.float64), 0.5 * x.astype(np.float64)
    n = len(x)
    expected = 1 - ((x64 - half) ** 2).sum() / ((x64**2).sum() - ((x64.sum(axis=0)) ** 2).sum() / n)
    result = measured(x, half)
    assert result["ev"] == pytest.approx(expected, rel=1e-12)
    assert result["fvu"] == pytest.approx(1 - expected, rel=1e-12)
    assert result["mse"] == pytest.approx(((x64 - half) ** 2).sum() / n, rel=1e-12)


def test_undefined_is_none():
    constant = np.ones((5, 3))
    assert measured(constant, constant)["ev"] is None
    assert ReconstructionSums(3).compute()["ev"] is None
    assert L0Counts().compute()["mean"] is None


def test_a_zero_reconstruction_has_cosine_zero(x):
    assert measured(x, np.zeros_like(x))["cosine"] == 0.0


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_blocks_and_merging_do_not_change_the_result(sizes, seed):
    rng = np.random.default_rng(seed)
    n = sum(sizes) + 2
    x, x_hat = rng.normal(size=(2, n, 4)) + 3
    z = rng.random((n, 10)) * (rng.random((n, 10)) < 0.3)
    parts = np.split(np.arange(n), np.cumsum(sizes))
    totals = ReconstructionSums(4), L0Counts(), FiringCounts(10)
    merged = ReconstructionSums(4), L0Counts(), FiringCounts(10)
    for part in parts:
        pieces = ReconstructionSums(4), L0Counts(), FiringCounts(10)
        for sums, l0, firing in (totals, pieces):
            sums.update(x[part], x_hat[part])
            l0.update((z[part] > 0).sum(axis=1))
            firing.update(np.nonzero(z[part])[1], len(part))
        for total, piece in zip(merged, pieces, strict=True):
            total.merge(piece)
    expected = measured(x, x_hat)
    for sums, l0, firing in (totals, merged):
        assert sums.compute() == pytest.approx(expected, rel=1e-9)
        assert l0.compute()["mean"] == pytest.approx((z > 0).sum(axis=1).mean())
        np.testing.assert_array_equal(firing.counts, (z > 0).sum(axis=0))
        assert firing.tokens == n


def test_l0_quantiles_are_numpys():
    rng = np.random.default_rng(0)
    l0 = rng.integers(0, 50, 997)
    counter = L0Counts()
    counter.update(l0[:300])
    counter.update(l0[300:])
    expected = np.quantile(l0, QUANTILES, method="inverted_cdf")
    assert list(counter.compute()["quantiles"].values()) == expected.tolist()


def test_density_and_dead_against_dense_numpy():
    rng = np.random.default_rng(0)
    z = rng.random((1000, 30)) * (rng.random((1000, 30)) < np.geomspace(1e-4, 1, 30))
    z[:, :4] = 0
    firing = FiringCounts(30)
    for part in np.array_split(z, 3):
        firing.update(np.nonzero(part)[1], len(part))
    result = firing.compute()
    frequency = (z > 0).mean(axis=0)
    live = frequency > 0
    assert (result["live"], result["dead"]) == (live.sum(), (~live).sum())
    assert result["dead_percent"] == pytest.approx(100 * (~live).mean())
    expected = np.histogram(np.log10(frequency[live]), bins=DENSITY_EDGES)[0]
    assert result["density"]["counts"] == expected.tolist()
    assert sum(result["density"]["counts"]) == live.sum()
