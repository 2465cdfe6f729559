"""A soft matching: the hard one where the entropy is small, all the same where nothing is alike, and in little memory."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment, linprog

from crosslens.alignment import transport as module
from crosslens.alignment.assignment import Matched, nearest, one_to_one, unit_rows
from crosslens.alignment.transport import transport

D = 32


def told(first, second, **more):
    near = nearest(first, second)
    return transport(first, second, near, one_to_one(first, second, near), **more)


def drawn(rng, n, d=D):
    return unit_rows(rng.normal(size=(n, d)))


def test_with_little_entropy_it_is_the_assignment():
    rng = np.random.default_rng(0)
    first, second = drawn(rng, 30), drawn(rng, 30)
    away = 1 - first @ second.T
    best = away[linear_sum_assignment(away)].mean()
    found = told(first, second, epsilon=0.004)
    assert found["cost"] == pytest.approx(best, abs=0.001)
    assert found["partners"] < 1.6 and found["on_matched"] > 0.75
    softer = told(first, second)
    assert softer["cost"] > found["cost"] and softer["partners"] > 2 * found["partners"]


def test_more_features_on_one_side_share_their_partners():
    """20 rows against 10: the linear programme with masses of 1/20 and 1/10, whose optimum gives each of the ten two."""
    rng = np.random.default_rng(1)
    first, second = drawn(rng, 20), drawn(rng, 10)
    away = 1 - (first @ second.T).astype(np.float64)
    masses = np.vstack([np.kron(np.eye(20), np.ones(10)), np.kron(np.ones(20), np.eye(10))])
    optimum = linprog(away.ravel(), A_eq=masses, b_eq=[*[1 / 20] * 20, *[1 / 10] * 10]).fun
    found = told(first, second, epsilon=0.004)
    assert found["cost"] == pytest.approx(optimum, abs=0.01) and found["partners"] < 1.3
    swapped = told(second, first, epsilon=0.004)
    assert swapped["cost"] == pytest.approx(optimum, abs=0.01) and swapped["partners"] == pytest.approx(
        2, abs=0.3
    )


def test_a_feature_split_in_two_has_two_partners():
    """Each direction of the first is there twice in the second: no one-to-one matching can say so."""
    rng = np.random.default_rng(2)
    first = drawn(rng, 20, 256)
    found = told(first, np.concatenate([first, first]))
    assert found["partners"] == pytest.approx(2, rel=1e-2) and found["cost"] == pytest.approx(0, abs=1e-3)
    assert found["on_matched"] == pytest.approx(0.5, rel=1e-2)


def test_copies_have_one_partner_and_what_is_all_alike_has_all():
    rng = np.random.default_rng(3)
    first, order = drawn(rng, 40, 256), rng.permutation(40)
    found = told(first, first[order])
    assert (
        found["cost"] < 1e-3
        and found["partners"] == pytest.approx(1, abs=1e-2)
        and found["on_matched"] > 0.99
    )
    same = np.repeat(first[:1], 12, axis=0)
    even = transport(same, same, nearest(same, same), Matched(*[np.arange(12)] * 2, np.ones(12)))
    assert even["partners"] == pytest.approx(12, rel=1e-6) and even["on_matched"] == pytest.approx(
        1 / 12, rel=1e-4
    )


def test_the_plan_has_the_masses_of_the_features():
    kernel = np.exp(np.random.default_rng(4).normal(size=(9, 14)))
    u, v = module._sinkhorn(kernel, 0.5)
    plan = u[:, None] * (kernel + 0.5) * v
    np.testing.assert_allclose(plan.sum(axis=0), 1 / 14)
    np.testing.assert_allclose(plan.sum(axis=1), 1 / 9, rtol=2e-3)


@pytest.mark.parametrize("noise", [0.5, 1.0, 9.0])
def test_with_many_features_it_is_nearly_that_of_all_pairs(noise, monkeypatch):
    """Partners that are near, hardly so, and none: candidates and the mean of all others give what all pairs do."""
    rng = np.random.default_rng(5)
    first = drawn(rng, 600, 128)
    second = unit_rows(first + noise * rng.normal(size=first.shape) / np.sqrt(128))
    whole = told(first, second)
    monkeypatch.setattr(module, "DENSE", 100)
    assert told(first, second) == pytest.approx(whole, rel=0.02)
