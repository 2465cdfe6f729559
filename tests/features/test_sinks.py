"""What a feature does on sinks is no reader's number: of two codes that differ there alone all of them read the same."""

import numpy as np
import pytest
from feature_world import make_codes, make_world
from world import write_dense_codes

from crosslens.descriptions.texts import read_texts
from crosslens.features.statistics import feature_statistics
from crosslens.gender.examples import gendered_examples
from crosslens.interventions.arms import levels_on_select
from crosslens.pooling.pool import pool_codes
from crosslens.tables.codes import Codes
from crosslens.tables.documents import read_json, read_table, write_json

FEATURES = 12


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("sinks"), n=48, d=4, parts=1, seed=5)


@pytest.fixture(scope="module")
def codes(world, tmp_path_factory):
    """Twice the same, but on the first tokens of prompts and captions, sinks: there features are silent, or fire at 50."""
    folder = tmp_path_factory.mktemp("codes")
    _, dense, token = make_codes(world, folder / "given.zarr", d_sae=FEATURES, k=4, seed=1)
    sink = np.flatnonzero(np.diff(world.table.sample[token] * 10 + world.table.role[token], prepend=-1))
    norm = np.ones(len(token))
    norm[sink] = 100.0
    paths = []
    for value in (0.0, 50.0):
        dense[sink] = value
        paths.append(folder / f"{value}.zarr")
        write_dense_codes(paths[-1], dense, token, sae="0" * 64, roles=("prompt", "caption"), norm=norm)
    return paths


def statistics(world, path, folder):
    out = {"out_table": folder / "features.parquet", "out": folder / "rankings.json"}
    given = {"dataset": world.dataset, "tokens": world.tokens, "codes": path, "language": "en"}
    feature_statistics(**given, top_examples=2, permutations=5, **out)
    return read_table(out["out_table"], "features").to_dict("list"), read_json(out["out"], "rankings")


def examples(world, path, folder):
    top = {side: [{"feature": feature} for feature in range(FEATURES)] for side in ("top_female", "top_male")}
    write_json(folder / "gender.json", "gender", {"sae": "0" * 64, "conditions": {"prompt": top}})
    given = {
        "dataset": world.dataset,
        "tokens": world.tokens,
        "codes": path,
        "gender": folder / "gender.json",
    }
    gendered_examples(
        **given, corpus="joint", language="en", features=FEATURES, count=2, out=folder / "examples.json"
    )
    return read_json(folder / "examples.json", "gendered_examples")


def pooled(world, path, folder):
    of = {
        how: pool_codes(Codes(path), world.table, world.frame, condition="prompt", how=how)
        for how in ("mean", "max", "last")
    }
    return {how: (found.sample_ids, found.values.toarray()) for how, found in of.items()}


def texts(world, path, folder):
    found = read_texts(world.dataset, world.tokens, path)
    return found.in_text("test"), found.strongest.toarray()


def levels(world, path, folder):
    return levels_on_select(Codes(path), world.table, world.frame)


@pytest.mark.parametrize("reads", [statistics, examples, pooled, texts, levels])
def test_codes_on_sinks_change_nothing(world, codes, tmp_path, reads):
    silent, firing = (reads(world, path, tmp_path) for path in codes)
    np.testing.assert_equal(firing, silent)
