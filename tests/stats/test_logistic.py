"""Logistic fits against scikit-learn's."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression

from crosslens.stats import logistic


@pytest.mark.parametrize("sparse", [False, True])
def test_a_path_is_that_of_scikit_learn_to_the_last_bit(sparse):
    rng = np.random.default_rng(0)
    x, rows = (rng.normal(size=(count, 40)) * (rng.random((count, 40)) < 0.3) for count in (60, 20))
    if sparse:
        x, rows = csr_array(x), csr_array(rows)
    y, penalties = rng.random(60) < 0.4, (1e-3, 1e-1, 10.0)
    model = LogisticRegression(max_iter=1000, tol=1e-3, warm_start=True)
    for penalty, found in zip(penalties, logistic.path(x, y, rows, penalties), strict=True):
        expected = model.set_params(C=penalty).fit(x, y).decision_function(rows)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(30, 80), (80, 30)])
@pytest.mark.parametrize("penalty", [1e-3, 0.1, 1.0])
def test_fits_at_once_are_those_of_the_whole_width_one_by_one(shape, penalty):
    rng = np.random.default_rng(0)
    x, rows = rng.normal(size=shape), rng.normal(size=(12, shape[1]))
    labels = rng.random((shape[0], 3)) < 0.5
    found = logistic.fits(x, labels, rows, penalty)
    for i in range(3):
        model = LogisticRegression(C=penalty, max_iter=10_000, tol=1e-10).fit(x, labels[:, i])
        np.testing.assert_allclose(found[:, i], model.decision_function(rows), atol=1e-4)


def test_fits_that_do_not_end_are_an_error():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 5))
    with pytest.raises(RuntimeError, match="2 steps"):
        logistic.fits(x, rng.random((20, 4)) < 0.5, x, 1.0, steps=2)
