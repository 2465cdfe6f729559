"""The factored matrix against the dense one, of which TransformerLens and ViT-Prisma take SVD, eigenvalues and norm too."""

import numpy as np
import pytest
from scipy.linalg import subspace_angles
from scipy.stats import entropy

from crosslens.geometry.factored import FactoredMatrix
from crosslens.geometry.spectrum import spread

SHAPES = [(12, 3, 12), (12, 3, 9), (5, 20, 5), (6, 20, 9), (4, 7, 30), (30, 7, 4), (6, 6, 6)]


def factors(shape, seed=0):
    rng = np.random.default_rng(seed)
    l, m, r = shape
    return rng.normal(size=(l, m)), rng.normal(size=(m, r))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_agrees_with_the_dense_product(shape):
    A, B = factors(shape)
    found, dense = FactoredMatrix(A, B), A @ B
    assert found.shape == dense.shape
    U, S, Vh = np.linalg.svd(dense, full_matrices=False)
    rank = min(shape)
    np.testing.assert_allclose(found.singular_values[:rank], S[:rank])
    assert found.norm == pytest.approx(np.linalg.norm(dense))
    u, s, vh = found.svd
    np.testing.assert_allclose(u * s @ vh, dense, atol=1e-10)
    np.testing.assert_allclose(u.T @ u, np.eye(len(s)), atol=1e-10)
    np.testing.assert_allclose(vh @ vh.T, np.eye(len(s)), atol=1e-10)
    assert subspace_angles(u[:, :1], U[:, :1])[0] < 1e-6 and subspace_angles(vh[:1].T, Vh[:1].T)[0] < 1e-6
    np.testing.assert_allclose(found.T.dense, dense.T)
    if shape[0] == shape[2]:
        values = np.linalg.eigvals(dense)
        largest = values[np.argsort(-np.abs(values))][:rank]
        np.testing.assert_allclose(np.abs(found.eigenvalues[:rank]), np.abs(largest), atol=1e-9)
        assert found.eigenvalues.sum() == pytest.approx(np.trace(dense))
        assert found.positive == pytest.approx(values.real.sum() / np.abs(values).sum())
    else:
        with pytest.raises(ValueError, match="no eigenvalues"):
            _ = found.eigenvalues


def test_the_product_is_never_there(monkeypatch):
    """50,000 × 50,000 would be 20 GB."""
    A, B = factors((50_000, 2, 50_000))
    found = FactoredMatrix(A, B)
    assert len(found.singular_values) == len(found.eigenvalues) == 2
    assert found.norm**2 == pytest.approx(np.trace((A.T @ A) @ (B @ B.T)))


def test_products_keep_the_factors():
    A, B = factors((8, 3, 6))
    C, D = factors((6, 2, 8), seed=1)
    product = A @ B @ C @ D
    for found in (FactoredMatrix(A, B) @ FactoredMatrix(C, D), FactoredMatrix(A, B) @ (C @ D)):
        np.testing.assert_allclose(found.dense, product)
    assert (FactoredMatrix(A, B) @ FactoredMatrix(C, D)).A.shape[1] == 2
    np.testing.assert_allclose((C.T @ FactoredMatrix(B.T, A.T)).dense, C.T @ B.T @ A.T)
    with pytest.raises(ValueError):
        FactoredMatrix(A, A)


def test_a_copying_map_is_positive_and_its_opposite_negative():
    A, _ = factors((10, 4, 10))
    assert FactoredMatrix(A, A.T).positive == pytest.approx(1)
    assert FactoredMatrix(A, -A.T).positive == pytest.approx(-1)
    assert FactoredMatrix(np.zeros((4, 2)), np.zeros((2, 4))).positive is None


def test_spread_by_hand_and_by_scipy():
    """Of σ², not of σ: (4, 1) of σ is (16, 1)."""
    even = spread(np.array([2.0, 2.0, 2.0, 2.0, 0.0]))
    assert even == {"bits": 2.0, "effective_rank": 4.0, "participation_ratio": 4.0, "rank_95": 4}
    variances = np.random.default_rng(0).uniform(size=30)
    found = spread(variances)
    assert found["bits"] == pytest.approx(entropy(variances, base=2))
    assert found["effective_rank"] == pytest.approx(np.exp(entropy(variances)))
    shares = np.sort(variances / variances.sum())[::-1]
    assert shares[: found["rank_95"]].sum() >= 0.95 > shares[: found["rank_95"] - 1].sum()
    assert spread(np.array([0.94, 0.01, 0.05]))["rank_95"] == 2
    assert spread(np.zeros(3)) == dict.fromkeys(("bits", "effective_rank", "participation_ratio", "rank_95"))
