import json

import numpy as np
import pandas as pd
import pytest
from feature_world import make_codes, make_world
from scipy.sparse import csr_array

from crosslens.errors import InputError
from crosslens.features import statistics
from crosslens.features.rankings import coactivation, pairs, rank
from crosslens.features.statistics import feature_statistics
from crosslens.tables.documents import read_json, read_table
from crosslens.tables.tokens import ROLES


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """(world, codes path, dense (M, F), token (M))."""
    root = tmp_path_factory.mktemp("statistics")
    world = make_world(root, n=160, d=4, parts=2, seed=7)
    return world, *make_codes(world, root / "codes.zarr", d_sae=40, k=5, seed=3)


def run(study, folder, **changes):
    world, path, *_ = study
    arguments = {"dataset": world.dataset, "tokens": world.tokens, "codes": path, "language": "en"}
    feature_statistics(
        **{**arguments, **changes},
        top_examples=4,
        out_table=folder / "features.parquet",
        out=folder / "rankings.json",
        permutations=20,
    )
    table = read_table(folder / "features.parquet", "features")
    return table, read_json(folder / "rankings.json", "rankings")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("result")


@pytest.fixture(scope="module")
def result(study, folder):
    return run(study, folder)


@pytest.fixture(scope="module")
def tokens(study):
    """One row an encoded token, with its features and what its sample is."""
    world, _, dense, token = study
    frame = pd.DataFrame(dense.astype(np.float64))
    frame["sample_id"] = [world.table.sample_ids[world.table.sample[t]] for t in token]
    return frame.merge(world.frame[["sample_id", "image_id", "split", "gender", "category", "caption"]])


SCOPES = {
    "all": "split == split",
    "select": "split == 'select'",
    "test": "split == 'test'",
    "test_female": "split == 'test' and gender == 'female'",
    "test_unknown": "split == 'test' and gender == 'unknown'",
}


@pytest.mark.parametrize("scope", SCOPES)
def test_table_against_dense_numpy(study, result, tokens, scope):
    table, document = result
    part = tokens.query(SCOPES[scope])
    z = part[list(range(40))].to_numpy()
    samples = part.groupby("sample_id")[list(range(40))].mean().to_numpy()
    with np.errstate(all="ignore"):
        expected = {
            "token_frequency": (z > 0).mean(axis=0),
            "sample_frequency": (samples > 0).mean(axis=0),
            "mean": z.mean(axis=0),
            "mean_active": z.sum(axis=0) / (z > 0).sum(axis=0),
            "max": z.max(axis=0),
            "std": z.std(axis=0),
            "selectivity": 1 - samples.mean(axis=0) ** 2 / (samples**2).mean(axis=0),
        }
    for name, values in expected.items():
        np.testing.assert_allclose(table[f"{scope}_{name}"], values, rtol=1e-6, atol=1e-12, err_msg=name)
    assert document["tokens"][scope] == len(part)
    assert document["samples"][scope] == part["sample_id"].nunique()
    assert document["live"][scope] == (z > 0).any(axis=0).sum()


def test_dead_features_are_in_the_table_and_undefined_not_zero(result):
    table, _ = result
    assert table["feature"].tolist() == list(range(40))
    dead = table[~table["live"]]
    assert len(dead) >= 3
    assert dead["all_mean_active"].isna().all() and (dead["all_max"] == 0).all()


def test_blocks_do_not_change_the_result(study, result, tmp_path, monkeypatch):
    monkeypatch.setattr(statistics, "BLOCK_ROWS", 97)
    table, document = run(study, tmp_path)
    pd.testing.assert_frame_equal(table, result[0], rtol=1e-12)
    assert document["examples"] == result[1]["examples"] and document["l0"] == result[1]["l0"]


def test_l0_summaries(result, tokens):
    _, document = result
    part = tokens.query("split == 'test' and gender == 'male'")
    fires = part[list(range(40))] > 0
    l0 = document["l0"]
    assert l0["per_token"]["test_male"]["mean"] == pytest.approx(fires.sum(axis=1).mean())
    by_sample = fires.groupby(part["sample_id"]).any().sum(axis=1)
    assert l0["features_per_sample"]["test_male"]["mean"] == pytest.approx(by_sample.mean())
    assert l0["features_per_sample"]["test_male"]["quantiles"]["1"] == by_sample.max()


def test_rankings_are_chosen_on_select_and_report_test(result, tokens):
    _, document = result
    chosen = tokens.query("split == 'select'")
    held = tokens.query("split == 'test'")

    def numbers(part):
        z = part[list(range(40))].to_numpy()
        share = (part.groupby("sample_id")[list(range(40))].max() > 0).mean().to_numpy()
        active = z.sum(axis=0) / np.maximum((z > 0).sum(axis=0), 1)
        return {"strongest": z.max(axis=0), "frequent": share, "composite": share * active}

    on_select, on_test = numbers(chosen), numbers(held)
    for name, values in on_select.items():
        entries = document["rankings"][name]["features"]
        assert len(entries) == 20
        brute = sorted(range(40), key=lambda f, v=values: (-v[f], f))[:20]
        assert [entry["feature"] for entry in entries] == [f for f in brute if values[f] > 0]
        for entry in entries:
            assert entry["score_select"] == pytest.approx(values[entry["feature"]])
            assert entry["score"] == pytest.approx(on_test[name][entry["feature"]])


def test_selective_features_fire_in_enough_samples():
    """Feature 0 fires in one sample, 1 in four samples, 2 in all of them alike."""
    table = pd.DataFrame(
        {
            f"{scope}_{name}": values
            for scope in ("select", "test")
            for name, values in {
                "sample_frequency": [0.01, 0.04, 1.0],
                "token_frequency": [0.01, 0.04, 1.0],
                "mean_active": [1.0, 1.0, 1.0],
                "max": [1.0, 1.0, 1.0],
                "selectivity": [0.99, 0.96 if scope == "select" else np.nan, 0.0],
            }.items()
        }
    )
    entries = rank(table, {"select": 100, "test": 100})["selective"]["features"]
    assert [entry["feature"] for entry in entries] == [1, 2]
    assert [entry["score_select"] for entry in entries] == [0.96, 0.0]
    assert [entry["score"] for entry in entries] == [None, 0.0]


def test_jaccard_and_pmi_by_hand():
    """a fires in samples 0-3, b in 2-5, of 8: both 2, either 6; PMI = log2(2/8 / (4/8)^2) = 0."""
    z = np.zeros((8, 3))
    z[0:4, 0] = z[2:6, 1] = 1
    z[0:2, 2] = 0.5
    found = pairs(csr_array(z))
    assert found["both"][0, 1] == 2
    assert found["jaccard"][0, 1] == pytest.approx(2 / 6)
    assert found["pmi"][0, 1] == pytest.approx(0)
    assert found["jaccard"][0, 2] == pytest.approx(2 / 4)
    assert found["pmi"][0, 2] == pytest.approx(1.0)
    assert found["pmi"][1, 2] == -np.inf


def test_coactivation_finds_the_pair_and_leaves_out_what_always_fires():
    rng = np.random.default_rng(0)
    z = (rng.random((200, 12)) < 0.2).astype(float)
    z[:, 7] = z[:, 3]
    z[:, 0] = 1
    half = csr_array(z[:100]), csr_array(z[100:])
    found = coactivation(*half, z.mean(axis=0))
    assert found["left_out_ubiquitous"] == 1
    for measure in ("jaccard", "pmi"):
        best = found[measure][0]
        assert (best["a"], best["b"], best["jaccard"]) == (3, 7, 1.0)
        assert best["both"] == z[100:, 3].sum()
        assert best["pmi"] == pytest.approx(-np.log2(z[100:, 3].mean()))
        assert all(0 not in (pair["a"], pair["b"]) for pair in found[measure])


def test_examples_are_the_strongest_test_samples_once_an_image(study, result, tokens):
    world, _, dense, token = study
    _, document = result
    assert document["examples"]["split"] == "test"
    shown = {entry["feature"]: entry["examples"] for entry in document["examples"]["features"]}
    ranked = {e["feature"] for r in document["rankings"].values() for e in r["features"]}
    assert ranked <= set(shown)
    rows = {sample_id: i for i, sample_id in enumerate(world.table.sample_ids)}
    for feature, examples in shown.items():
        best = tokens.query("split == 'test'").groupby(["image_id", "sample_id"])[feature].max()
        expected = best.groupby("image_id").max().sort_values(ascending=False)
        expected = expected[expected > 0].head(4)
        np.testing.assert_allclose([e["max"] for e in examples], expected.to_numpy(), atol=1e-5)
        assert len({e["image_id"] for e in examples}) == len(examples)
        for example in examples:
            sample = rows[example["sample_id"]]
            for role, start, end, position, activation in example["tokens"]:
                row = int(world.table.offsets[sample]) + position
                assert ROLES[world.table.role[row]] == role
                text = example["caption" if role == "caption" else "prompt"]
                word = text[start:end]
                assert word and " " not in word
                assert activation == pytest.approx(dense[np.flatnonzero(token == row)[0], feature], abs=1e-5)
            assert max(t[4] for t in example["tokens"]) == example["max"]


def test_same_input_same_bytes(study, result, folder, tmp_path):
    run(study, tmp_path)
    for name in ("features.parquet", "rankings.json"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_codes_of_another_language_or_other_tokens_are_refused(study, tmp_path):
    world, *_ = study
    with pytest.raises(InputError, match="language en"):
        run(study, tmp_path, language="ar")
    with pytest.raises(InputError, match="codes of"):
        run(study, tmp_path, tokens=world.tokens[:1])


def test_json_has_no_nan(study, result):
    json.dumps(result[1], allow_nan=False)
