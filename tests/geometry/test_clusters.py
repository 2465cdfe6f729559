"""Clusters that are there are found, as many as there are; a cloud has none, whatever its shape."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from crosslens.geometry import clusters
from crosslens.geometry.clusters import cluster_rows, shape_of
from crosslens.geometry.dictionary import measure_dictionary
from crosslens.tables.documents import read_json, write_table
from crosslens.tables.tensors import save_tensors


@pytest.fixture
def few_clouds(monkeypatch):
    """The least p is 1 / 10."""
    monkeypatch.setattr(clusters, "CLOUDS", 9)
    monkeypatch.setattr(clusters, "NUMBERS", (2, 4, 8, 16))


def bundles(n=160, d=20, number=8, noise=0.15, seed=0):
    rng = np.random.default_rng(seed)
    of = np.arange(n) % number
    return np.linalg.qr(rng.normal(size=(d, number)))[0].T[of] + noise * rng.normal(size=(n, d)), of


def test_bundles_are_found_and_counted_and_found_again_at_any_length(few_clouds):
    rows, of = bundles()
    longer = rows * np.random.default_rng(1).uniform(0.1, 5, size=(len(rows), 1))
    found, again = (cluster_rows(each, seed=0) for each in (rows, longer))
    np.testing.assert_array_equal(again.of, found.of)
    assert found.number == 8 and found.p == pytest.approx(1 / 10)
    assert adjusted_rand_score(found.of, of) > 0.95
    assert (np.diff(np.bincount(found.of)) <= 0).all()


def test_a_cloud_has_none(few_clouds):
    """A long cloud is split the same way again and again: stable, and no more than another cloud like it."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(160, 20)) * np.array([2.0, *[0.5] * 19])
    found = cluster_rows(rows, seed=0)
    assert found.stability[0]["stability"] > 0.5 and found.p > 0.1
    assert cluster_rows(rows[:3], seed=0) is None


def test_the_shape_of_directions_is_that_of_the_cloud():
    rng = np.random.default_rng(0)
    truth = np.array([4.0, 1.0, 0.5, 0.5, 0.25]) / 1.25
    rows = rng.normal(size=(20_000, 5)) * np.sqrt(truth)
    found = shape_of(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    np.testing.assert_allclose(found, np.diag(truth), atol=0.05)


@pytest.mark.long
def test_false_alarms():
    alarms = [
        cluster_rows(
            np.random.default_rng(seed).normal(size=(120, 10)) * np.geomspace(1.5, 0.6, 10), seed=seed
        ).p
        for seed in range(100)
    ]
    assert 0.0 <= np.mean(np.array(alarms) <= 0.05) < 0.12


def test_an_sae_from_files(tmp_path, monkeypatch):
    monkeypatch.setattr(clusters, "CLOUDS", 2)
    rows, of = bundles()
    dead = np.arange(160) >= 120
    folder = tmp_path / "sae"
    folder.mkdir()
    rng = np.random.default_rng(0)
    weights = {"W_enc": rows.T + 0.1 * rng.normal(size=rows.T.shape), "W_dec": rows}
    weights = {name: torch.tensor(value, dtype=torch.float32) for name, value in weights.items()}
    save_tensors({n: w.contiguous() for n, w in weights.items()}, folder / "sae_weights.safetensors")
    write_table(tmp_path / "f.parquet", "features", pd.DataFrame({"live": ~dead}))
    effects = pd.concat(
        pd.DataFrame(
            {"feature": np.arange(160), "condition": "caption", "split": split, "live": ~dead}
        ).assign(d=np.where(of == 0, 2.0 + (split == "test"), 0.0))
        for split in ("select", "test")
    )
    write_table(tmp_path / "e.parquet", "gender_effects", effects)
    measure_dictionary(
        sae=folder,
        site="4",
        features={"en": tmp_path / "f.parquet"},
        effects={"en": tmp_path / "e.parquet"},
        seed=0,
        out=tmp_path / "d.json",
    )
    found = read_json(tmp_path / "d.json", "dictionary")
    dense = weights["W_enc"].double().numpy() @ weights["W_dec"].double().numpy()
    assert found["matrix"]["norm"] == pytest.approx(np.linalg.norm(dense), rel=1e-6)
    assert found["matrix"]["largest"] == pytest.approx(np.linalg.norm(dense, 2), rel=1e-6)
    values = np.linalg.eigvals(dense)
    assert found["matrix"]["positive"] == pytest.approx(values.real.sum() / np.abs(values).sum(), rel=1e-6)
    told = found["clusters"]
    assert told["features"] == 120 and told["number"] == 8
    assert sum(cluster["features"] for cluster in told["of"]) == 120
    gendered = [c["effects"][0] for c in told["of"] if c["effects"][0]["d"] > 1.5]
    assert len(gendered) == 1 and gendered[0]["d"] == pytest.approx(gendered[0]["d_select"] + 1, abs=0.2)
