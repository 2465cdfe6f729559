"""Latent scaling on activations whose truth is known, against a least-squares fit of the whole residual."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from crosslens.alignment import pairs, scaling
from crosslens.alignment.assignment import unit_rows

TRULY, FALSELY, OF_ARABIC, NOT_SPECIFIC = range(4)


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch):
    monkeypatch.setattr(pairs, "PERMUTATIONS", 199)


def test_what_the_other_language_has_without_firing_is_unmasked():
    """English alone has the first direction; Arabic has the second too, though the feature does not fire there."""
    rng, n, d = np.random.default_rng(0), 80, 16
    decoder = unit_rows(rng.normal(size=(4, d)))
    meant = rng.random((n, 4)) * (rng.random((n, 4)) < 0.6)
    english, arabic = meant.copy(), meant.copy()
    english[:, OF_ARABIC] = 0
    arabic[:, [TRULY, FALSELY]] = 0
    written = arabic.copy()
    written[:, FALSELY] = 0.9 * meant[:, FALSELY]
    x = [z @ decoder + 0.05 * rng.normal(size=(n, d)) + 3 for z in (english, written)]
    table = pd.DataFrame({"first": "en", "specific": ["en", "en", "ar", ""]})
    codes = csr_array(english), csr_array(arabic)
    found, told = scaling.scaled(table, codes, tuple(x), decoder, np.arange(n), 0.05, rng)
    assert found["unmasked"].tolist() == [False, True, False, False]
    assert found["beta_own"].to_numpy()[:3] == pytest.approx([1, 1, 1], abs=0.1)
    assert found["beta_other"].to_numpy()[:3] == pytest.approx([0, 0.9, 0], abs=0.15)
    assert np.isnan(found.loc[NOT_SPECIFIC, "beta_own"])
    assert (told["features"], told["unmasked"], told["tested"]) == (3, 1, True)
    # the definition, written out: the residual of all other features, about its mean, on f d
    for j, f, z, of in ((TRULY, english, english, 0), (FALSELY, english, arabic, 1)):
        others = np.delete(np.arange(4), j)
        r = x[of] - z[:, others] @ decoder[others]
        fitted = np.outer(f[:, j] - f[:, j].mean(), decoder[j]).ravel()
        beta = np.linalg.lstsq(fitted[:, None], (r - r.mean(axis=0)).ravel())[0][0]
        assert found.loc[j, "beta_other" if of else "beta_own"] == pytest.approx(beta)


def test_without_specific_features_nothing_is_scaled():
    table = pd.DataFrame({"first": "en", "specific": ["", ""]})
    z = csr_array(np.ones((20, 2)))
    found, told = scaling.scaled(
        table, (z, z), (np.ones((20, 3)),) * 2, np.eye(3)[:2], np.arange(20), 0.05, np.random.default_rng(0)
    )
    assert not told["tested"] and told["unmasked"] == 0 and not found["unmasked"].any()
