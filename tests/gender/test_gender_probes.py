"""Probes reach the AUROC that the data allow, and their baselines stay at chance."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from crosslens.gender.probes import (
    PENALTIES,
    accuracy,
    auroc,
    fit_and_score,
    probe,
    probe_activations,
    probe_codes,
)
from crosslens.pooling.images import ImageTable
from crosslens.tables.documents import read_json


def drawn(n, distance, rng, *, width=20, categories=10):
    """Gaussian classes `distance` apart on the first axis: AUROC of the best probe is Phi(distance / sqrt 2)."""
    gender = np.array(["female", "male", "unknown"], dtype=object)[np.arange(n) % 3]
    category = np.array([f"c{i}" for i in np.arange(n) // 3 % categories], dtype=object)
    x = rng.normal(size=(n, width))
    x[:, 0] += distance * (gender == "female")
    x[gender == "unknown", 0] += 100
    return ImageTable(x, np.arange(n).astype(str).astype(object), gender, category)


def test_auroc_and_accuracy_as_in_sklearn():
    rng = np.random.default_rng(0)
    score, y = np.round(rng.normal(size=80), 1), rng.random(80) < 0.3
    assert auroc(score, y) == pytest.approx(roc_auc_score(y, score))
    assert accuracy(score, y) == pytest.approx(accuracy_score(y, score > 0))


def test_known_separation_is_reached_and_shuffled_labels_are_not_read():
    rng = np.random.default_rng(0)
    train, test = drawn(900, 1.5, rng), drawn(3000, 1.5, rng)
    told = probe(train, test, seed=0, stream_name="x")
    best = norm.cdf(1.5 / np.sqrt(2))
    assert told["auroc"]["value"] == pytest.approx(best, abs=0.03)
    assert told["auroc"]["low"] < told["auroc"]["value"] < told["auroc"]["high"]
    assert told["accuracy"]["value"] == pytest.approx(norm.cdf(0.75), abs=0.03)
    assert told["shuffled"]["auroc"]["value"] == pytest.approx(0.5, abs=0.06)
    assert told["control"]["auroc"]["value"] == pytest.approx(0.5, abs=0.06), (
        "categories are not in these data"
    )
    assert told["majority"]["accuracy"] == pytest.approx(0.5, abs=0.02)
    assert told["n_train"] == {"female": 300, "male": 300}, "unknown is nobody's class"
    assert told == probe(train, test, seed=0, stream_name="x")


def test_control_task_reads_categories_where_they_are():
    rng = np.random.default_rng(0)
    tables = [drawn(n, 0.0, rng, width=20) for n in (600, 600)]
    for table in tables:
        code = np.array([int(name[1:]) for name in table.category])
        table.values[np.arange(len(code)), 5 + code] += 4
    told = probe(*tables, seed=0, stream_name="x")
    assert told["control"]["auroc"]["value"] > 0.95
    assert told["auroc"]["value"] == pytest.approx(0.5, abs=0.08)


def test_sparse_inputs_give_the_same_model_as_dense_ones():
    rng = np.random.default_rng(0)
    x = np.where(rng.random((300, 30)) < 0.3, rng.exponential(size=(300, 30)), 0.0)
    y = x[:, 0] + x[:, 1] + 0.3 * rng.normal(size=300) > 0.5
    dense, penalty = fit_and_score(x[:200], y[:200], x[200:], 0)
    sparse, same = fit_and_score(csr_array(x[:200]), y[:200], csr_array(x[200:]), 0)
    assert penalty == same in PENALTIES
    assert np.corrcoef(dense, sparse)[0, 1] > 0.999
    plain = make_pipeline(StandardScaler(), LogisticRegression(C=penalty)).fit(x[:200], y[:200])
    assert np.corrcoef(dense, plain.decision_function(x[200:]))[0, 1] > 0.999


def test_too_few_labels_are_said_not_scored():
    rng = np.random.default_rng(0)
    told = probe(drawn(9, 1.0, rng), drawn(9, 1.0, rng), seed=0, stream_name="x")
    assert told["auroc"] is None and told["n_train"] == {"female": 3, "male": 3}


def test_stages(study, tmp_path):
    settings = {"dataset": study.datasets["en"], "tokens": study.tokens["en"], "seed": 0}
    settings["conditions"] = ["prompt", "caption"]
    probe_activations(activations=study.activations["en"], out=tmp_path / "a.json", **settings)
    document = read_json(tmp_path / "a.json", "probe")
    assert (document["input"], document["site"], document["language"]) == ("activations", "4", "en")
    assert all(told["auroc"]["value"] > 0.95 for told in document["conditions"].values())
    assert document["conditions"]["prompt"]["unlabelled"] == {"train": 40, "test": 40}
    assert document["conditions"]["prompt"]["n_test"] == {"female": 40, "male": 40}
    probe_codes(codes=study.codes["en"], out=tmp_path / "codes.json", **settings)
    document = read_json(tmp_path / "codes.json", "probe")
    assert document["sae"] == "a" * 64 and document["conditions"]["caption"]["auroc"]["value"] > 0.9
