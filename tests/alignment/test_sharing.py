"""Sharing in one dictionary: features that are shared and specific by construction, and a null that knows groups."""

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file
from scipy.sparse import csr_array
from scipy.stats import pearsonr, permutation_test
from world import World, tokens_of, write_corpus, write_dense_codes

from crosslens.alignment import pairs, sharing
from crosslens.alignment.dictionaries import digest_of
from crosslens.alignment.pairs import shared_p, shuffled_pairs
from crosslens.alignment.sharing import Side, compare, feature_sharing
from crosslens.errors import InputError
from crosslens.pooling.images import ImageTable
from crosslens.tables.documents import read_json, read_table

IMAGES, TOKENS = 80, {"en": 5, "ar": 3}
SHARED, ENGLISH, ARABIC, MORE_IN_ENGLISH, UNRELATED, DEAD = range(6)


@pytest.fixture(autouse=True, scope="module")
def _few_draws():
    with pytest.MonkeyPatch.context() as patch:
        for module in (pairs, sharing):
            patch.setattr(module, "PERMUTATIONS", 399)
        yield


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Captions of five English and three Arabic tokens, half of the images test, and codes whose truth the names say."""
    folder, rng = tmp_path_factory.mktemp("sharing"), np.random.default_rng(0)
    meant = rng.random(IMAGES) < 0.5
    frame = pd.DataFrame({"image_id": [f"i{i:03d}" for i in range(IMAGES)], "gender": "unknown"})
    frame["sample_id"] = frame["image_id"] + "#0"
    frame["split"] = ["train", "test"] * (IMAGES // 2)
    frame[["category", "caption", "label_spans"]] = ["", "", "[[0, 100]]"]
    world = World()
    for language, length in TOKENS.items():
        codes = np.zeros((IMAGES, length, 6))
        codes[meant, 0, SHARED] = 1 + rng.random(meant.sum())
        codes[:, 0, UNRELATED] = rng.random(IMAGES) < 0.5
        # one token a caption: more often a token in Arabic, whose captions are shorter, and as often a caption
        codes[:, 1, ENGLISH] = (rng.random(IMAGES) < 0.6) * (language == "en")
        codes[:, 1, ARABIC] = (rng.random(IMAGES) < 0.6) * (language == "ar")
        codes[:, :, MORE_IN_ENGLISH] = rng.random((IMAGES, 1)) < (0.9 if language == "en" else 0.3)
        samples = dict.fromkeys(frame["sample_id"], tokens_of("caption", ["word"] * length))
        world[language] = write_corpus(
            folder, frame, samples, np.ones((IMAGES * length, 2)), language=language
        )
        world[language].codes = write_dense_codes(
            folder / f"{language}_codes.zarr",
            codes.reshape(-1, 6),
            sae=digest_of(write_sae(folder / "sae")),
            roles=["caption"],
            language=language,
        )
    return world, frame


@pytest.fixture(scope="module")
def told(world, tmp_path_factory):
    """(table, document)"""
    folder = tmp_path_factory.mktemp("told")
    run(world[0], folder)
    table = read_table(folder / "features.parquet", "feature_sharing").set_index("feature")
    return table, read_json(folder / "sharing.json", "sharing")


def run(world, folder, **changed):
    given = {**world.inputs, "codes": world.codes} | changed
    outs = {"out_table": folder / "features.parquet", "out": folder / "sharing.json"}
    feature_sharing(**given, sae=write_sae(folder / "sae"), alpha=0.05, seed=0, **outs)


def write_sae(folder):
    """The weights of six directions that no activation has; feature ids belong to their digest."""
    folder.mkdir(exist_ok=True)
    save_file({"W_dec": np.eye(6, 2, dtype=np.float32)}, folder / "sae_weights.safetensors")
    (folder / "cfg.json").write_text('{"normalize_activations": "none"}')
    return folder


def test_features_are_called_what_they_are(told):
    table, document = told
    assert table["shared"].tolist() == [True, False, False, False, False, False]
    assert table["specific"].tolist() == ["", "en", "ar", "en", "", ""]
    assert table["live_first"].tolist() == [True, True, False, True, True, False]
    (pair,) = document["pairs"]
    assert pair["live"] == {"both": 3, "first": 1, "second": 1, "neither": 1}
    assert (pair["shared"]["features"], pair["shared"]["found"]) == (3, 1)
    assert (pair["specific"]["features"], pair["specific"]["found"]) == (5, 3)
    exclusive = {(of["shared"], of["specific"]): of["exclusive"] for of in pair["classes"]}
    assert exclusive[False, "en"] == exclusive[False, "ar"] == 1
    assert document["tokens_per_caption"] == {"en": 5.0, "ar": 3.0}


def test_a_language_with_shorter_captions_does_not_own_what_fires_once_a_caption(told):
    """A token, the shared feature fires 5 / 3 times as often in Arabic; a caption, as often: either rate alone misleads."""
    table, _ = told
    assert table.loc[SHARED, "token_selectivity"] == pytest.approx((1 / 5 - 1 / 3) / (1 / 5 + 1 / 3))
    assert table.loc[SHARED, "sample_selectivity"] == 0
    assert table.loc[SHARED, "p_specific"] == 1


def test_numbers_are_those_of_the_captions(world, told):
    """Rates, ν, entropy and r of one feature by hand and by scipy, on test images alone."""
    (_, frame), (table, _) = world, told
    test = (frame["split"] == "test").to_numpy()
    fires, strength = {}, {}
    for language, length in TOKENS.items():
        codes = sharing.Codes(world[0][language].codes)
        dense = codes.rows(0, len(codes)).toarray().reshape(IMAGES, length, 6)[test][:, :, SHARED]
        fires[language], strength[language] = (dense > 0), dense.mean(axis=1)
    row = table.loc[SHARED]
    rates = np.array([fires["en"].mean(), fires["ar"].mean()])
    assert [row["token_rate_first"], row["token_rate_second"]] == pytest.approx(rates.tolist())
    assert row["sample_rate_first"] == pytest.approx(fires["en"].any(axis=1).mean())
    assert row["nu_second"] == pytest.approx(strength["ar"].mean() - strength["en"].mean(), rel=1e-6)
    shares = rates / rates.sum()
    assert row["entropy"] == pytest.approx(-(shares * np.log(shares)).sum())
    assert row["r"] == pytest.approx(pearsonr(strength["en"], strength["ar"])[0], abs=1e-6)
    assert np.isnan(table.loc[ARABIC, "r"]) and np.isnan(table.loc[DEAD, "entropy"])


def test_p_is_that_of_scipys_permutation_test():
    rng = np.random.default_rng(1)
    x = rng.random((12, 3))
    y = x * [0.7, 0.2, 0.0] + 0.5 * rng.random((12, 3))
    r, p = shared_p(csr_array(x), csr_array(y), np.arange(12), rng)
    for f in range(3):
        # the sum of products ranks as r does, and scipy is quick with it
        expected = permutation_test(
            (x[:, f], y[:, f]),
            np.dot,
            permutation_type="pairings",
            alternative="greater",
            n_resamples=999,
            rng=0,
        )
        assert r[f] == pytest.approx(pearsonr(x[:, f], y[:, f])[0])
        assert p[0, f] == pytest.approx(expected.pvalue, abs=0.08)


def test_shuffles_keep_groups_together():
    groups = np.array(["a", "b", "b", "c", "d", "d", "e"])
    places = set()
    for order in shuffled_pairs(groups, 200, np.random.default_rng(0)):
        assert sorted(order) == list(range(7))
        assert {groups[order[1]], groups[order[2]]} in ({"b"}, {"d"})
        places.add(tuple(order))
    assert len(places) > 30, "two pairs in eight orders, three single rows in six: 48"


def test_images_of_one_group_are_no_independent_witnesses():
    """Every image in two genders that fire alike: shuffling rows freely would call far more than 5 % shared."""
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(20), 2)
    x, y = (np.repeat(rng.random((20, 400)), 2, axis=0) for _ in range(2))
    _, of_groups = shared_p(csr_array(x), csr_array(y), groups, rng)
    _, of_rows = shared_p(csr_array(x), csr_array(y), np.arange(40), rng)
    assert np.mean(of_groups[0] <= 0.05) <= 0.08 < 0.1 < np.mean(of_rows[0] <= 0.05)


def side(values: np.ndarray) -> Side:
    ids = np.array([f"i{i:03d}" for i in range(len(values))], dtype=object)
    table = ImageTable(csr_array(values), ids, np.full(len(ids), "unknown", dtype=object), ids)
    return Side(table, table, table)


def test_nothing_in_common_is_found_no_more_often_than_by_chance():
    """Of 200 features that have nothing to do with each other hardly any is found, and the null says how many to expect."""
    rng = np.random.default_rng(5)
    sides = {name: side(rng.random((60, 200)) * (rng.random((60, 200)) < 0.4)) for name in ("en", "ar")}
    table, told = compare(sides, alpha=0.05, rng=rng)
    for name in ("shared", "specific"):
        assert told[name]["found"] <= 3 and told[name]["p"] > 0.05 and told[name]["mean"] < 1
    assert np.mean(table["p_shared"] <= 0.1) == pytest.approx(0.1, abs=0.06)
    assert np.mean(table["p_specific"] <= 0.1) <= 0.15


def test_few_pairs_are_not_tested_and_codes_of_two_dictionaries_are_refused(world, tmp_path):
    few = {name: side(np.random.default_rng(0).random((7, 4))) for name in ("en", "ar")}
    table, told = compare(few, alpha=0.05, rng=np.random.default_rng(0))
    assert not told["shared"]["tested"] and "7 independent pairs" in told["specific"]["because"]
    assert told["shared"]["p"] is None and not table["shared"].any() and (table["specific"] == "").all()
    other = write_dense_codes(
        tmp_path / "other.zarr", np.ones((IMAGES * 3, 6)), sae="d2", roles=["caption"], language="ar"
    )
    with pytest.raises(InputError, match="d2"):
        run(world[0], tmp_path, codes=world[0].codes | {"ar": other})


def test_three_languages_are_three_pairs(world, tmp_path):
    """ν and entropy are over all of them, the pairs each over two."""
    given = {name: getattr(world[0], name) for name in ("datasets", "tokens", "activations", "codes")}
    given = {name: mapping | {"fa": mapping["ar"]} for name, mapping in given.items()}
    run(world[0], tmp_path, **given)
    table = read_table(tmp_path / "features.parquet", "feature_sharing")
    pairs = list(dict.fromkeys(zip(table["first"], table["second"], strict=True)))
    assert pairs == [("en", "ar"), ("en", "fa"), ("ar", "fa")]
    same = table[(table["first"] == "ar") & (table["feature"] == SHARED)].iloc[0]
    assert same["r"] == pytest.approx(1) and same["shared"] and same["specific"] == ""
    assert same["entropy"] > np.log(2) and table["live_first"].dtype == bool
