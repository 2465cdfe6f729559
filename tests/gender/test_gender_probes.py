"""Probes reach the AUROC that the data allow, and their baselines stay at chance."""

from dataclasses import replace

import numpy as np
import pytest
from gender_study import ENGLISH_ONLY, FEMALE, MALE
from scipy.sparse import csr_array
from scipy.stats import f_oneway, norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from crosslens.gender import probes
from crosslens.gender.probes import (
    PENALTIES,
    accuracy,
    auroc,
    fit_and_score,
    probe,
    probe_activations,
    probe_codes,
    strongest_columns,
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


def test_of_few_images_the_plainest_scores_have_the_least_p():
    """Three of each gender: the labels have 20 arrangements, and no score has a p far below 1/20."""
    rng = np.random.default_rng(0)
    train, test = drawn(90, 50.0, rng), drawn(9, 50.0, rng)
    told = probe(train, test, seed=0, stream_name="x")
    assert told["auroc"]["value"] == 1 and told["least_p"] == 1 / 20
    assert told["p"] == pytest.approx(told["least_p"], abs=0.01)
    groups = np.array([f"g{i // 3}" for i in range(9)], dtype=object)  # a woman and a man in each
    told = probe(train, replace(test, group=groups), seed=0, stream_name="x")
    assert told["groups"] == {"train": len(train.labelled()), "test": 3}
    assert told["least_p"] == 1 / 8 and told["p"] == pytest.approx(1 / 8, abs=0.02)


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


@pytest.fixture
def alone(monkeypatch):
    """Probes with hardly any baselines beside them."""
    for name, number in {"PERMUTATIONS": 199, "SHUFFLES": 1, "CONTROLS": 1}.items():
        monkeypatch.setattr(probes, name, number)


def sparse_of(told):
    """columns -> what a sparse probe says."""
    return {of["columns"]: of for of in told["sparse"]}


@pytest.mark.parametrize("pack", [np.asarray, csr_array])
def test_a_planted_feature_alone_tells_all_that_the_rest_does(pack):
    """Chosen on train: a feature that tells the gender on test alone, where nobody looks, is not."""
    rng = np.random.default_rng(0)
    tables = [drawn(n, 0.0, rng, width=40) for n in (300, 300)]
    for split, table in enumerate(tables):
        female = table.gender == "female"
        x = np.where(rng.random((300, 40)) < 0.4, rng.exponential(size=(300, 40)), 0.0)
        x[:, 7] = np.where(female, 1 + rng.random(300), 0.0)
        x[:, 9] = female * split
        object.__setattr__(table, "values", pack(x))
    found = sparse_of(probe(*tables, seed=0, stream_name="x", sizes=(1, 2, 5, 20)))
    assert list(found) == [1, 2, 5, 20] and found[1]["chosen"] == [7]
    assert found[1]["auroc"]["value"] == 1 and found[1]["p"] == pytest.approx(1e-4)
    assert all(of["chosen"][0] == 7 and of["auroc"]["value"] > 0.99 for of in found.values())
    assert all(9 not in of["chosen"][:2] for of in found.values())


def test_two_features_that_hold_half_each_are_worth_what_two_are(alone):
    """Gender moves the first two of forty axes by 1: AUROC Φ(1/√2) of the best one, Φ(√2/√2) of both, and no more of five."""
    rng = np.random.default_rng(1)
    tables = [drawn(n, 1.0, rng, width=40) for n in (3000, 6000)]
    for table in tables:
        table.values[:, 1] += table.gender == "female"
    told = probe(*tables, seed=0, stream_name="x", sizes=(1, 2, 5))
    found = {size: of["auroc"]["value"] for size, of in sparse_of(told).items()}
    assert set(sparse_of(told)[2]["chosen"]) == {0, 1}
    assert found[1] == pytest.approx(norm.cdf(1 / np.sqrt(2)), abs=0.015)
    assert found[2] == pytest.approx(norm.cdf(1), abs=0.015)
    assert found[5] == pytest.approx(found[2], abs=0.01)


def test_columns_are_chosen_by_the_f_of_an_analysis_of_variance():
    rng = np.random.default_rng(2)
    y = rng.random(90) < 0.4
    x = rng.normal(size=(90, 12)) * 10.0 ** rng.integers(-3, 4, size=12) + y[:, None] * rng.normal(size=12)
    x[:, 3] = 5.0
    f = np.array([-np.inf if i == 3 else f_oneway(x[y, i], x[~y, i]).statistic for i in range(12)])
    chosen = strongest_columns(x, y, (1, 5, 11, 12))
    assert [some.tolist() for some in chosen] == [np.argsort(-f)[:size].tolist() for size in (1, 5, 11)]
    sparse = strongest_columns(csr_array(np.maximum(x, 0)), y, (4,))
    assert sparse[0].tolist() == strongest_columns(np.maximum(x, 0), y, (4,))[0].tolist()


def test_a_massive_channel_is_no_better_than_what_it_tells():
    """As activations are stored: of float32 far from 0, whose sums of squares would be rounding alone, or constant."""
    rng = np.random.default_rng(3)
    y = np.arange(200) < 100
    x = rng.normal(size=(200, 30)) + 0.3 * y[:, None] * (np.arange(30) == 4)
    x += 10.0 ** rng.integers(3, 6, size=30) * (np.arange(30) != 4)
    x[:, 9] = 0.1
    x = x.astype(np.float32)
    f = [
        f_oneway(*(x[of, i].astype(np.float64) for of in (y, ~y))).statistic if i != 9 else -1
        for i in range(30)
    ]
    assert [some.tolist() for some in strongest_columns(x, y, (5, 29, 30))] == [
        np.argsort(-np.array(f))[:size].tolist() for size in (5, 29)
    ]


def noise(seeds):
    """For each seed and size: whether the interval holds .5, and p, of sparse probes of features that tell nothing."""
    inside, p = [], []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        told = probe(
            *(drawn(150, 0.0, rng, width=60) for _ in "ab"), seed=seed, stream_name="x", sizes=(1, 5)
        )
        inside.append([of["auroc"]["low"] <= 0.5 <= of["auroc"]["high"] for of in told["sparse"]])
        p.append([of["p"] for of in told["sparse"]])
    return np.array(inside), np.array(p)


def test_sparse_probes_of_noise_stay_at_chance_though_the_best_are_chosen(alone):
    inside, p = noise(range(12))
    assert (inside.mean(axis=0) >= 9 / 12).all() and (np.median(p, axis=0) > 0.1).all()


@pytest.mark.long
def test_sparse_probes_of_noise_over_many_seeds(alone):
    """95 % intervals and p of 200 draws: within three standard errors of the level."""
    inside, p = noise(range(200))
    error = 3 * np.sqrt(0.05 * 0.95 / 200)
    assert (inside.mean(axis=0) >= 0.95 - error).all()
    assert ((p <= 0.05).mean(axis=0) <= 0.05 + error).all()


def test_too_few_labels_are_said_not_scored():
    rng = np.random.default_rng(0)
    told = probe(drawn(9, 1.0, rng), drawn(9, 1.0, rng), seed=0, stream_name="x")
    assert told["auroc"] is None and told["n_train"] == {"female": 3, "male": 3}
    assert "sparse" not in told
    told = probe(drawn(9, 1.0, rng), drawn(9, 1.0, rng), seed=0, stream_name="x", sizes=(1,))
    assert told["sparse"] is None


def test_of_one_group_that_has_most_of_a_gender_nothing_is_said():
    """An AUROC of nearly one person's pictures has no interval: a p of it would be told as "no better than chance"."""
    rng = np.random.default_rng(0)
    train, test = drawn(60, 1.0, rng), drawn(90, 1.0, rng)
    people = test.image_ids.copy()
    people[np.flatnonzero(test.gender == "female")[:26]] = "one"
    told = probe(train, replace(test, group=people), seed=0, stream_name="x")
    assert not told["tested"] and told["p"] is told["auroc"] is None
    assert told["because"].startswith("one group has most of the female images in test")


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
    for told in document["conditions"].values():
        assert [of["columns"] for of in told["sparse"]] == [1, 2, 5, 20]
        assert {*told["sparse"][2]["chosen"]} < {*FEMALE, *MALE, *ENGLISH_ONLY}, (
            "the planted features are the best"
        )
    assert document["sae"] == "a" * 64 and document["conditions"]["caption"]["auroc"]["value"] > 0.9
