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
