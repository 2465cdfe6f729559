"""Gendered features are found again where another training has them, and not where it has not."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from gender_study import ENGLISH_ONLY, FEATURES, FEMALE, MALE
from test_gender_effects import run
from world import write_dense_codes

from crosslens.artifacts.needs import other_architectures
from crosslens.errors import InputError
from crosslens.gender import robustness
from crosslens.gender.robustness import by_chance, gender_robustness
from crosslens.tables.codes import Codes
from crosslens.tables.documents import read_json, read_table, write_table

ONLY_FIRST = FEMALE[0]
"""Planted in the first seed alone: its partner in the other fires as often, whoever is in the picture."""
UNMATCHED = MALE[0]
"""Without a partner in the other seed."""
SAES = {"first": "a" * 64, "seed_1": "b" * 64, "seed_2": "c" * 64, "relu": "d" * 64}


def dense(path):
    codes = Codes(path)
    return codes.rows(0, len(codes)).toarray()


@pytest.fixture(scope="module")
def given(study, tmp_path_factory):
    """Arguments: another seed with the same features in another order, a second in which nothing tells the gender."""
    folder, rng = tmp_path_factory.mktemp("robust"), np.random.default_rng(3)
    first = dense(study.codes["en"])
    order = rng.permutation(FEATURES)
    again, shuffled = np.empty_like(first), first[rng.permutation(len(first))]
    again[:, order] = first
    again[:, order[ONLY_FIRST]] = shuffled[:, ONLY_FIRST]
    paths = {}
    for name, codes in (("seed_1", again), ("seed_2", shuffled), ("relu", -(-again // 0.01) * 0.01)):
        paths[name] = write_dense_codes(
            folder / f"{name}.zarr", codes, sae=SAES[name], roles=("prompt", "caption"), language="en"
        )
    table = pd.DataFrame({"feature": np.arange(FEATURES)})
    tables = [
        table.assign(
            other=name, partner=partner, sae=SAES["first"], other_sae=SAES[name], decoder_cosine=cosine
        )
        for name, partner, cosine in (
            ("seed_1", order, 0.9),
            ("seed_2", np.arange(FEATURES), 0.2),
            ("relu", order, 0.8),
        )
    ]
    pairs = pd.concat(tables, ignore_index=True)
    pairs = pairs[~((pairs["other"] == "seed_1") & (pairs["feature"] == UNMATCHED))].assign(
        encoder_cosine=0.5
    )
    write_table(folder / "counterparts.parquet", "counterparts", pairs)
    effects, gender = run(study, folder, permutations=10)
    return {
        "dataset": study.datasets["en"],
        "tokens": study.tokens["en"],
        "codes": study.codes["en"],
        "effects": effects,
        "gender": gender,
        "seeds": {name: paths[name] for name in ("seed_1", "seed_2")},
        "architectures": {"relu": paths["relu"]},
        "counterparts": folder / "counterparts.parquet",
        "conditions": ["prompt", "caption"],
        "alpha": 0.05,
        "seed": 0,
        "language": "en",
    }


@pytest.fixture(scope="module")
def told(given, tmp_path_factory):
    out = tmp_path_factory.mktemp("told") / "robust.json"
    gender_robustness(**given, out=out)
    return read_json(out, "gender_robustness")


def gendered(given, condition):
    table = read_table(given["effects"], "gender_effects")
    of = table[(table["condition"] == condition) & (table["split"] == "test")].set_index("feature")
    return of.index[of["significant"]]


@pytest.mark.parametrize("condition", ["prompt", "caption"])
def test_a_seed_that_has_the_features_keeps_all_but_those_that_it_lacks(given, told, condition):
    chosen, views = gendered(given, condition), {v["view"]: v for v in told["conditions"][condition]["views"]}
    assert {ONLY_FIRST, UNMATCHED} <= {*chosen} and len(chosen) >= 10
    assert list(views) == ["max", "last", "seed_1", "seed_2", "relu"]
    assert sum(told["conditions"][condition]["gendered"].values()) == len(chosen)
    assert views["seed_1"]["kept"] == len(chosen) - 2
    assert views["seed_1"]["share"] == pytest.approx(1 - 2 / len(chosen))
    assert views["relu"]["share"] == pytest.approx(1 - 1 / len(chosen), abs=0.1)
    assert views["seed_1"]["testable"] == len(chosen) - 1 and views["max"]["testable"] == len(chosen)
    assert views["seed_2"]["kept"] <= 1 and views["seed_2"]["chance"]["mean"] < 0.1
    assert views["seed_1"]["chance"]["mean"] < 0.25 < views["seed_1"]["chance"]["q95"] + 0.2
    assert (views["seed_1"]["cosine"], views["max"]["cosine"]) == (0.9, None)
    # strength tells the planted genders, token by token: their strongest token does as the mean
    assert views["max"]["share"] > 0.8 > views["last"]["share"]


@pytest.mark.parametrize("condition", ["prompt", "caption"])
def test_a_named_feature_says_in_which_seeds_it_is_gendered(given, told, condition):
    gender = read_json(given["gender"], "gender")["conditions"][condition]
    named = {(one["feature"], one["side"]): one for one in told["conditions"][condition]["named"]}
    assert list(named) == [
        (one["feature"], side) for side in ("female", "male") for one in gender[f"top_{side}"]
    ]
    for (feature, side), one in named.items():
        views = {view["view"]: view for view in one["views"]}
        if feature == UNMATCHED:
            assert views["seed_1"]["partner"] is None and not views["seed_1"]["gendered"]
        elif feature in {*FEMALE, *MALE, *ENGLISH_ONLY} and one["confirmed"]:
            assert views["seed_1"]["gendered"] == (feature != ONLY_FIRST)
            assert (views["seed_1"]["z"] > 0) == (side == "female") or feature == ONLY_FIRST
        assert views["max"]["partner"] == views["seed_2"]["partner"] == feature


def test_readings_are_those_of_the_tokens(given, tmp_path):
    """A feature that tells the gender at the first caption token alone: by the strongest token still, at the last no more."""
    codes = dense(given["codes"])
    frame = read_table(given["dataset"], "dataset")
    female = (frame["gender"] == "female").to_numpy()
    column = np.zeros((len(frame), 10), dtype=np.float32)
    column[:, 5] = 1.0 + 9.0 * female
    column[:, 9] = 1.0
    codes[:, FEATURES - 1] = column.ravel()
    path = write_dense_codes(
        tmp_path / "codes.zarr", codes, sae=SAES["first"], roles=("prompt", "caption"), language="en"
    )
    effects = read_table(given["effects"], "gender_effects")
    mine = (effects["feature"] == FEATURES - 1) & (effects["condition"] == "caption")
    effects["significant"] = mine
    effects.loc[mine, "z"] = 9.0
    write_table(tmp_path / "effects.parquet", "gender_effects", effects)
    gender_robustness(
        **given | {"codes": path, "effects": tmp_path / "effects.parquet", "seeds": {}, "architectures": {}},
        out=tmp_path / "out.json",
    )
    told = read_json(tmp_path / "out.json", "gender_robustness")["conditions"]
    assert [view["share"] for view in told["caption"]["views"]] == [1.0, 0.0]
    assert [(view["share"], view["chance"]) for view in told["prompt"]["views"]] == [
        (None, {"mean": None, "q95": None})
    ] * 2


def test_chance_is_that_of_features_that_fire_as_often(monkeypatch):
    """Brute force: sort by how often they fire, and ask those around the partner."""
    rng = np.random.default_rng(5)
    monkeypatch.setattr(robustness, "NEIGHBOURS", 20)
    fires = rng.permutation(200)  # no ties
    there = np.where(rng.random(200) < fires / 400, rng.choice([-1, 1], 200), 0)
    partner, sign = np.array([*rng.integers(0, 200, 30), -1]), rng.choice([-1, 1], 31)
    by_rank = np.argsort(fires)
    expected = []
    for p, s in zip(partner, sign, strict=True):
        if p < 0:
            expected.append(0.0)
            continue
        start = min(max(fires[p] - 10, 0), 200 - 21)
        around = [f for f in by_rank[start : start + 21] if f != p]
        expected.append(np.mean(there[around] == s))
    found = by_chance(partner, sign, there, fires, rng)
    assert found["mean"] == pytest.approx(np.mean(expected))
    drawn = rng.random((20000, 31)) < np.array(expected)
    assert found["q95"] == pytest.approx(np.quantile(drawn.mean(axis=1), 0.95), abs=0.035)


def test_features_of_another_sae_are_refused(given, tmp_path):
    for changed in ({"seeds": {"seed_1": given["seeds"]["seed_2"]}}, {"codes": given["seeds"]["seed_1"]}):
        with pytest.raises(InputError, match="features of the SAE"):
            gender_robustness(**given | changed, out=tmp_path / "out.json")


def test_a_frozen_decoder_is_no_other_training():
    """It has the directions that the others start from, without having found any: a floor, and no witness."""

    class Joint(dict):
        study = SimpleNamespace(
            corpora=["joint"],
            sae_sites=["4"],
            variants={
                "k_64": {"k": 64},
                "frozen": {"architecture": "frozen_decoder"},
                "relu": {"architecture": "relu"},
            },
        )
        settings = {"sae": {"architecture": "topk", "k": 32}}

    assert other_architectures(Joint(corpus="joint", site="4")) == ["relu"]
