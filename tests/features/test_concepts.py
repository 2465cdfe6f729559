"""Concept search against the definition, and against lists that stand for nothing."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from feature_world import make_codes, make_world
from scipy.sparse import csr_array

from crosslens.errors import InputError
from crosslens.features.concepts import _concept, score, search_concepts
from crosslens.pooling.images import ImageTable
from crosslens.stats.resampling import stream
from crosslens.tables.documents import read_json
from crosslens.tables.roles import CAPTION


def table(values, prefix) -> ImageTable:
    ids = np.array([f"{prefix}{i}" for i in range(len(values))], dtype=object)
    blank = np.full(len(ids), "", dtype=object)
    return ImageTable(csr_array(values), ids, blank, blank)


def drawn(seed=0, n=40, features=25):
    rng = np.random.default_rng(seed)
    return {
        half: rng.exponential(size=(n, features)) * (rng.uniform(size=(n, features)) < 0.3)
        for half in ("s", "t")
    }


def found(values, ids, permutations=499):
    halves = {name: table(values[name[0]], name[0]) for name in ("select", "test")}
    return _concept(halves, ids, permutations, stream(0, "a"))


def test_the_score_is_the_difference_of_means():
    values, inside = drawn()["s"], np.arange(40) % 3 == 0
    expected = values[inside].mean(axis=0) - values[~inside].mean(axis=0)
    np.testing.assert_allclose(score(csr_array(values), inside[:, None])[:, 0], expected)


def test_what_stands_for_the_list_comes_first():
    values = drawn()
    ids = [f"{half}{i}" for half in "st" for i in range(0, 40, 4)]
    for half in "st":
        values[half][::4, 7] += 3
    told = found(values, ids)
    first = told["features"][0]
    assert told["inside"] == {"select": 10, "test": 10} and first["feature"] == 7
    assert (
        first["share_inside"] == 1 and first["share_outside"] < 0.6 and first["p"] == first["q"] / 10 == 0.002
    )
    assert first["score"] == pytest.approx(
        values["t"][::4, 7].mean() - np.delete(values["t"], np.s_[::4], 0)[:, 7].mean()
    )
    assert all(row["q"] > 0.05 for row in told["features"][1:])


def test_a_list_of_nothing_is_found_as_often_as_its_level():
    """Chosen on select as the largest of 25 differences; on test that is no advantage."""
    ids = [f"{half}{i}" for half in "st" for i in range(0, 40, 4)]
    alarms = [min(row["q"] for row in found(drawn(seed), ids, 99)["features"]) <= 0.05 for seed in range(60)]
    assert np.mean(alarms) < 0.15


def test_too_few_are_told_and_not_tested():
    told = found(drawn(), ["s1", "s2", "t1"])
    assert told["features"] == [] and "2 listed in select and 1 in test" in told["because"]


def test_from_files_in_the_order_of_no_file(tmp_path):
    world = make_world(tmp_path, n=160, d=4, parts=2, seed=7)
    path, dense, token = make_codes(world, tmp_path / "codes.zarr", d_sae=40, k=5, seed=3)
    ids = sorted(set(world.frame["image_id"]))[::3]
    given = {"dataset": world.dataset, "tokens": world.tokens, "codes": path, "condition": "caption"}
    search_concepts(**given, concepts={"third": ids}, permutations=50, out=tmp_path / "c.json")
    (told,) = read_json(tmp_path / "c.json", "concepts")["concepts"]
    sample = np.array(world.table.sample_ids, dtype=object)[world.table.sample[token]]
    rows = world.frame[world.frame["split"] == "test"]

    caption = world.table.role[token] == CAPTION
    means = {}
    for image_id, own in rows.groupby("image_id"):
        per = [dense[caption & (sample == name)] for name in own["sample_id"]]
        per = [part.mean(axis=0) for part in per if len(part)]
        if per:
            means[image_id] = np.mean(per, axis=0)
    inside = [means[name] for name in means if name in ids]
    outside = [means[name] for name in means if name not in ids]
    assert told["inside"]["test"] == len(inside) and told["outside"]["test"] == len(outside)
    expected = np.mean(inside, axis=0) - np.mean(outside, axis=0)
    for row in told["features"]:
        assert row["score"] == pytest.approx(expected[row["feature"]], abs=1e-6)
    with pytest.raises(InputError, match="nobody"):
        search_concepts(**given, concepts={"a": ["nobody"]}, out=tmp_path / "d.json")


def test_the_shipped_texts_are_ten_of_each_kind_and_the_lists_are_of_them():
    root = Path(__file__).parents[2]
    settings = yaml.safe_load((root / "config/studies/categories.yaml").read_text(encoding="utf-8"))
    with (root / settings["source"]["captions"]).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    counts = Counter(row["category"] for row in rows)
    assert len(counts) == 7 and set(counts.values()) == {10}
    assert len({row["en_caption"] for row in rows}) == len(rows) == 70
    ids = {row["image_id"] for row in rows}
    assert all(set(listed) <= ids for listed in settings["concepts"].values())
