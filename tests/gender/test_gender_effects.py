"""Planted features are found, on images, with unknown pictures left out."""

import numpy as np
import pandas as pd
import pytest
from gender_study import ENGLISH_ONLY, FEATURES, FEMALE, HIDDEN, LABEL_WORD, MALE, RARE
from scipy.sparse import csr_array

from crosslens.errors import InputError
from crosslens.gender.effects import gender_effects
from crosslens.pooling.images import by_image
from crosslens.tables.documents import read_json, read_table


def run(study, folder, language="en", **changes):
    settings = {"alpha": 0.05, "permutations": 30, "seed": 0} | changes
    table, out = folder / f"{language}.parquet", folder / f"{language}.json"
    gender_effects(
        dataset=study.datasets[language],
        tokens=study.tokens[language],
        codes=study.codes[language],
        conditions=["prompt", "caption"],
        language=language,
        out_table=table,
        out=out,
        **settings,
    )
    return table, out


@pytest.fixture(scope="module")
def result(study, tmp_path_factory):
    table, out = run(study, tmp_path_factory.mktemp("effects"))
    return read_table(table, "gender_effects"), read_json(out, "gender")


@pytest.mark.parametrize("condition", ["prompt", "caption"])
def test_planted_features_are_found(result, condition):
    table, document = result
    test = table[(table["condition"] == condition) & (table["split"] == "test")].set_index("feature")
    planted = [*FEMALE, *MALE, *ENGLISH_ONLY]
    assert test.loc[planted, "significant"].mean() > 0.7
    assert test.drop(planted)["significant"].sum() <= 2
    assert (test.loc[[*FEMALE, *ENGLISH_ONLY], "d"] > 0).all() and (test.loc[[*MALE], "d"] < 0).all()
    told = document["conditions"][condition]
    assert told["significant"] == test["significant"].sum() and told["live"] == test["live"].sum()
    assert told["null"]["mean"] < 1 and told["null"]["p"] == pytest.approx(1 / 31)
    assert {row["feature"] for row in told["top_female"][:6]} <= {*FEMALE, *ENGLISH_ONLY}
    assert {row["feature"] for row in told["top_male"][:4]} <= {*MALE}
    first = told["top_female"][0]
    select = table[(table["condition"] == condition) & (table["split"] == "select")].set_index("feature")
    assert first["d_select"] == select.loc[select["significant"], "d"].max(), "chosen on select"
    assert first["d"] == test.loc[first["feature"], "d"], "told from test"
    assert first["d_low"] < first["d"] < first["d_high"]


def test_label_words_unknown_pictures_and_rare_features_stay_out(result):
    table, document = result
    by_feature = table[table["split"] == "test"].set_index(["condition", "feature"])
    for condition in ("prompt", "caption"):
        for feature in (LABEL_WORD, HIDDEN):
            row = by_feature.loc[(condition, feature)]
            assert not row["live"] and np.isnan(row["d"]) and row["mean_female"] == row["mean_male"] == 0
    assert not table[table["feature"] == RARE]["live"].any()
    counts = document["conditions"]["prompt"]["images"]["test"]
    assert counts == {"female": 40, "male": 40, "unknown": 40, "contradictory": 0, "dropped_samples": 0}
    assert (table["n_female"] == 40).all() and (table["n_male"] == 40).all(), "images, not their two captions"
    assert len(table) == 2 * 2 * FEATURES


def test_same_bytes_again(study, tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        folder.mkdir()
        run(study, folder, permutations=5)
    for name in ("en.parquet", "en.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_images_average_their_samples_and_settle_their_gender():
    dataset = pd.DataFrame(
        {
            "sample_id": ["a#0", "a#1", "b#0", "b#1", "c#0", "d#0"],
            "image_id": ["a", "a", "b", "b", "c", "d"],
            "gender": ["female", "unknown", "male", "female", "unknown", "male"],
            "category": ["x", "x", "y", "y", "x", "y"],
        }
    )
    values = csr_array(np.array([[1.0, 0], [3, 4], [1, 1], [1, 1], [9, 9]]))
    images = by_image(values, ["a#0", "a#1", "b#0", "b#1", "c#0"], dataset)
    assert images.image_ids.tolist() == ["a", "b", "c"]
    assert images.values.toarray().tolist() == [[2, 2], [1, 1], [9, 9]]
    assert images.gender.tolist() == ["female", "contradictory", "unknown"]
    assert images.labelled().image_ids.tolist() == ["a"]
    with pytest.raises(InputError, match="z#0"):
        by_image(values, ["z#0"] * 5, dataset)
    with pytest.raises(InputError, match="Female"):
        by_image(values, ["a#0"] * 5, dataset.assign(gender="Female"))
