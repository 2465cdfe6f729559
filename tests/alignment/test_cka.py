"""CKA against the definition on kernel matrices, its invariances, and independent data."""

import numpy as np
import pytest
from scipy.stats import ortho_group

from crosslens.alignment import cka
from crosslens.alignment.cka import cka_difference, cka_with_null, linear_cka, shuffled_cka, unbiased_cka
from crosslens.errors import InputError


def drawn(n, d1, d2, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d1)) + 5
    return x, x[:, :1] * rng.normal(size=(1, d2)) + rng.normal(size=(n, d2))


def test_a_case_by_hand():
    # centred (-1, 0, 1) and (-2, -1, 3); with one column each CKA is the squared correlation
    x, y = np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [2.0], [6.0]])
    assert linear_cka(x, y) == pytest.approx(25 / 28)
    assert linear_cka(x, y) == pytest.approx(np.corrcoef(x[:, 0], y[:, 0])[0, 1] ** 2)


def test_equals_the_definition_on_kernels():
    x, y = drawn(30, 7, 5)
    centre = np.eye(30) - 1 / 30
    k, m = (centre @ (a @ a.T) @ centre for a in (x, y))
    expected = np.trace(k @ m) / np.sqrt(np.trace(k @ k) * np.trace(m @ m))
    assert linear_cka(x, y) == pytest.approx(expected)


def test_unbiased_is_the_mean_over_distinct_quadruples():
    """Song et al. 2012: HSIC₁ is the U-statistic tr K L over (i, j) − 2 over (i, j, q) + over (i, j, q, r)."""
    x, y = drawn(7, 3, 2)
    i, j, q, r = np.array([t for t in np.ndindex(7, 7, 7, 7) if len(set(t)) == 4]).T

    def hsic(a, b):
        k, m = a @ a.T, b @ b.T
        return np.mean(k[i, j] * m[i, j] + k[i, j] * m[q, r] - 2 * k[i, j] * m[i, q])

    assert unbiased_cka(x, y) == pytest.approx(hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y)))


@pytest.mark.parametrize("likeness", [linear_cka, unbiased_cka])
def test_invariances(likeness):
    x, y = drawn(60, 6, 8)
    rotation = ortho_group.rvs(6, random_state=1)
    assert likeness(x @ rotation * 7 + 100, y) == pytest.approx(likeness(x, y))
    assert likeness(x, x @ rotation * 0.1 - 3) == pytest.approx(1)
    assert likeness(x, y) == pytest.approx(likeness(y, x))
    assert likeness(x * np.arange(1, 7), y) != pytest.approx(likeness(x, y), abs=1e-3)


def test_independent_data_of_as_many_columns_as_rows():
    rng = np.random.default_rng(0)
    values = [(rng.normal(size=(100, 100)), rng.normal(size=(100, 100))) for _ in range(10)]
    assert min(linear_cka(x, y) for x, y in values) > 0.45
    unbiased = [unbiased_cka(x, y) for x, y in values]
    assert max(map(abs, unbiased)) < 0.05 and abs(np.mean(unbiased)) < 0.01


@pytest.mark.parametrize("kernel_rows", [0, 1000])
def test_null_of_the_pairing(monkeypatch, kernel_rows):
    """From the features or from the kernels, in blocks: the same null."""
    monkeypatch.setattr(cka, "KERNEL_ROWS", kernel_rows)
    monkeypatch.setattr(cka, "_BLOCK", 7)
    x, y = drawn(80, 20, 20)
    found = cka_with_null(x, y, draws=30, rng=np.random.default_rng(0))
    other = y[np.random.default_rng(0).permutation(80)]
    for name, likeness in (("linear", linear_cka), ("unbiased", unbiased_cka)):
        assert found[name].value == pytest.approx(likeness(x, y))
        assert found[name].null[0] == pytest.approx(likeness(x, other))
        assert len(found[name].null) == 30 and found[name].null.max() < found[name].value
    assert abs(found["unbiased"].null.mean()) < 0.02
    null = shuffled_cka(x, y, draws=30, rng=np.random.default_rng(0))
    assert all(np.array_equal(null[name], found[name].null) for name in found)


def test_what_is_undefined():
    x, y = drawn(10, 2, 2)
    assert np.isnan(linear_cka(np.ones((10, 2)), y)) and np.isnan(unbiased_cka(x[:3], y[:3]))
    with pytest.raises(InputError, match="as many rows"):
        linear_cka(x, y[:5])


def test_a_difference_is_that_of_the_two_and_its_interval_holds():
    """Two sides that are as like the third: the interval has 0 in about 95 %, here in at least 90 of 100 trials."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(3, 4, 12)) / 2
    inside, rejected = 0, 0
    for _ in range(100):
        common = rng.normal(size=(40, 4))
        x, other, y = (common @ mixing[i] + rng.normal(size=(40, 12)) for i in (0, 0, 1))
        found = cka_difference(x, other, y, rng=rng)
        assert found["value"] == pytest.approx(unbiased_cka(x, y) - unbiased_cka(other, y))
        inside += found["low"] <= 0 <= found["high"]
        rejected += found["p"] < 0.05
    assert inside >= 90 and rejected == 100 - inside
    assert cka_difference(common @ mixing[1], other, y, rng=rng)["low"] > 0


def test_a_difference_of_few_or_constant_rows_is_undefined():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 4))
    assert cka_difference(x[:7], x[:7], x[:7], rng=rng)["value"] is None
    assert cka_difference(x, np.ones((20, 4)), x, rng=rng)["p"] is None
