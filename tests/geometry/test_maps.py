"""Maps of points whose places are known: what is near stays near, and the numbers beside them are those of scikit-learn."""

import numpy as np
import pytest
from sklearn.manifold import trustworthiness as of_sklearn
from sklearn.neighbors import NearestNeighbors

from crosslens.errors import InputError
from crosslens.geometry import neighbours
from crosslens.geometry.maps import maps
from crosslens.geometry.neighbours import nearest, shared_labels, trustworthiness


def clusters(n=120, d=12, apart=12.0, seed=0):
    rng = np.random.default_rng(seed)
    cluster = np.arange(n) % 4
    return rng.normal(size=(n, d)) + apart * np.eye(4, d)[cluster] + 1e4, cluster


@pytest.mark.parametrize("block", [8 * 120 * 50, 10**9])
def test_trustworthiness_is_that_of_scikit_learn(monkeypatch, block):
    monkeypatch.setattr(neighbours, "BLOCK_BYTES", block)
    x, _ = clusters()
    rng = np.random.default_rng(1)
    for shown in (x[:, :2], x[:, 4:6], rng.normal(size=(len(x), 2))):
        for k in (1, 40):
            assert trustworthiness(x, shown, k) == pytest.approx(of_sklearn(x, shown, n_neighbors=k))
    assert trustworthiness(x, x, 7) == 1
    with pytest.raises(ValueError):
        trustworthiness(x, x, 60)


def test_nearest_are_those_of_scikit_learn_and_never_of_the_own_group(monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK_BYTES", 8 * 120 * 13)
    x, cluster = clusters()
    expected = NearestNeighbors(n_neighbors=9).fit(x).kneighbors(return_distance=False)
    np.testing.assert_array_equal(nearest(x, 9), expected)
    assert (cluster[nearest(x, 9)] != cluster[nearest(x, 9, cluster)]).all()
    # of four rows in groups of 2, each has two others
    assert (nearest(x[:4], 3, np.array([0, 0, 1, 1])) >= 0).sum(axis=1).tolist() == [2, 2, 2, 2]


def test_shared_labels_by_hand():
    near = np.array([[1, 2], [0, 2], [1, -1]])
    # row 0: 1 of 2, row 1: 1 of 2, row 2: 0 of 1
    assert shared_labels(near, np.array([[0, 0], [0, 1], [1, 0]])).tolist() == pytest.approx([1 / 3, 1 / 6])


def test_maps_keep_clusters_apart_and_are_the_same_again():
    x, cluster = clusters()
    found = maps(x, ["pca", "tsne"], perplexity=15, seed=3)
    again = maps(x, ["pca", "tsne"], perplexity=15, seed=3)
    centred = x - x.mean(axis=0)
    u, s, _ = np.linalg.svd(centred)
    np.testing.assert_allclose(np.abs(found.shown["pca"]), np.abs(u[:, :2] * s[:2]), rtol=1e-4, atol=1e-4)
    assert found.explained == pytest.approx((s**2 / (s**2).sum())[:2])
    assert found.kept == pytest.approx(1) and found.components == 12
    for method, shown in found.shown.items():
        np.testing.assert_array_equal(shown, again.shown[method])
    near = nearest(found.shown["tsne"], 10)
    assert (cluster[near] == cluster[:, None]).mean() > 0.98
    trust = {each["method"]: each["trustworthiness"] for each in found.trust}
    assert trust["tsne"] > 0.9 and trust["pca"] > 0.9
    scattered = np.random.default_rng(0).normal(size=(len(x), 2))
    assert trustworthiness(x, scattered, 15) == pytest.approx(0.5, abs=0.08)
    assert [each["perplexity"] for each in found.trust] == [None, 15]


def test_few_or_narrow_points_and_umap():
    x, _ = clusters()
    assert maps(x[:8], ["tsne"], perplexity=30, seed=0).trust[0]["perplexity"] == pytest.approx(7 / 3)
    narrow = maps(x[:20, :1], ["pca", "tsne"], perplexity=5, seed=0)
    assert narrow.explained == [1.0, 0.0] and np.isfinite(narrow.shown["tsne"]).all()
    with pytest.raises(InputError, match="7 points"):
        maps(x[:7], ["pca"], perplexity=5, seed=0)
    try:
        import umap  # noqa: F401
    except ImportError:
        with pytest.raises(InputError, match="umap-learn"):
            maps(x, ["umap"], perplexity=5, seed=0)
