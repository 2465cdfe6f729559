"""Likeness of two sides against its definitions, and intervals by halves against drawing the images anew."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import orthogonal_procrustes, subspace_angles
from sklearn.cross_decomposition import CCA
from world import Token, World, write_corpus

from crosslens.alignment import representations as module
from crosslens.alignment.cka import unbiased_cka
from crosslens.alignment.likeness import SUBSPACE, decomposed, likeness, principal_cosines, share_within
from crosslens.alignment.ranks import rank_all
from crosslens.alignment.representations import Halves, alike, gendered, representations, spread
from crosslens.pooling.images import ImageTable
from crosslens.stats.auroc import auroc
from crosslens.stats.resampling import halves
from crosslens.tables.documents import read_json

WIDTH = 12


@pytest.fixture(autouse=True, scope="module")
def _few_draws():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "HALVES", 40)
        yield


def drawn(rng, n=80, shared=1.0):
    """Two sides (n, WIDTH) that have something in common."""
    common = rng.normal(size=(n, WIDTH))
    return [shared * common @ rng.normal(size=(WIDTH, WIDTH)) + rng.normal(size=(n, WIDTH)) for _ in range(2)]


def test_canonical_correlations_are_those_of_scikit_learn():
    x, y = drawn(np.random.default_rng(0), n=300)
    first, second = decomposed(x), decomposed(y)
    kept = first.kept(), second.kept()
    share = np.cumsum(first.s**2) / np.sum(first.s**2)
    assert kept[0] == np.argmax(share >= 0.99) + 1
    reduced = [side.u[:, :k] * side.s[:k] for side, k in zip((first, second), kept, strict=True)]
    n = min(kept)
    one, other = CCA(n_components=n, scale=False, max_iter=5000).fit_transform(*reduced)
    by_hand = [np.corrcoef(one[:, i], other[:, i])[0, 1] for i in range(n)]
    found = likeness(first, second)
    assert found["svcca"] == pytest.approx(np.mean(by_hand), abs=2e-3)
    weights = np.abs((one / np.linalg.norm(one, axis=0)).T @ (reduced[0] @ first.v[:, : kept[0]].T)).sum(
        axis=1
    )
    assert found["pwcca"] == pytest.approx(np.average(by_hand, weights=weights), abs=5e-3)


def test_procrustes_is_the_distance_after_the_best_rotation():
    x, y = (z - z.mean(axis=0) for z in drawn(np.random.default_rng(1)))
    x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
    rotation, _ = orthogonal_procrustes(x, y)
    assert likeness(decomposed(x), decomposed(y))["procrustes"] == pytest.approx(
        np.linalg.norm(x @ rotation - y)
    )
    turned = 3 * x @ np.linalg.qr(np.random.default_rng(2).normal(size=(WIDTH, WIDTH)))[0] + 5
    same = likeness(decomposed(x), decomposed(turned))
    assert same["procrustes"] == pytest.approx(0, abs=1e-6) and same["svcca"] == pytest.approx(1)


def test_few_rows_keep_few_directions_and_nothing_that_varies_is_no_likeness():
    rng = np.random.default_rng(3)
    assert decomposed(rng.normal(size=(30, WIDTH))).kept() == 3
    assert np.isnan(likeness(decomposed(np.ones((30, 4))), decomposed(rng.normal(size=(30, 4))))["svcca"])


def test_principal_angles_are_those_of_scipy():
    rng = np.random.default_rng(4)
    a, b = (np.linalg.qr(rng.normal(size=(WIDTH, 3)))[0] for _ in range(2))
    angles = np.sort(np.arccos(principal_cosines(a, b)))
    assert angles == pytest.approx(np.sort(subspace_angles(a, b)))
    assert share_within(a[:, :1], a) == pytest.approx([1])
    direction = rng.normal(size=(WIDTH, 1))
    assert share_within(direction, b)[0] == pytest.approx(np.cos(subspace_angles(direction, b)[0]) ** 2)


@pytest.mark.parametrize("statistic", ["mean", "cka"])
def test_deviations_of_halves_vary_as_images_drawn_anew(statistic):
    """Their standard deviation is that of the statistic over many studies of as many images; a bootstrap's CKA is biased."""
    rng = np.random.default_rng(5)
    mix = rng.normal(size=(2, 3, 3))

    def study(n=60):
        common = rng.normal(size=(n, 3))
        return [common @ m + 1.5 * rng.normal(size=(n, 3)) for m in mix]

    def value(x, y):
        return unbiased_cka(x, y) if statistic == "cka" else (x[:, 0] * y[:, 1]).mean()

    anew = np.std([value(*study()) for _ in range(300)])
    found = []
    for _ in range(30):
        x, y = study()
        rows = halves(np.zeros(60), 40, rng)
        told = spread(value(x, y), lambda at, x=x, y=y: value(x[at], y[at]), rows)
        assert np.mean(told["deviations"]) == pytest.approx(0, abs=1e-5)
        found.append(np.var(told["deviations"]))
    assert np.sqrt(np.mean(found)) == pytest.approx(anew, rel=0.2)


def test_halves_are_of_groups_and_the_same_in_every_language():
    frame = pd.DataFrame({"sample_id": [f"s{i}" for i in range(40)], "split": ["train", "test"] * 20})
    frame["gender"] = np.where(np.arange(40) % 4 < 2, "female", "male")
    frame["group"] = [f"g{i // 8}{i % 2}" for i in range(40)]
    found, again = Halves.drawn(frame, 0), Halves.drawn(frame.sample(frac=1, random_state=1), 0)
    assert found.of_group.keys() == set(frame["group"])
    for group, rows in found.of_group.items():
        assert (rows == again.of_group[group]).all()
    table = images(np.zeros((4, 2)), ids=["a", "b", "c", "d"], groups=["g00", "g00", "g01", "g10"])
    rows = found.rows(table)
    assert (rows[0] == rows[1]).all() and not (rows[0] == rows[3]).all()


def images(values, ids=None, groups=None, gender=None) -> ImageTable:
    ids = np.array(ids or [f"i{i:03d}" for i in range(len(values))], dtype=object)
    groups = ids if groups is None else np.array(groups, dtype=object)
    gender = np.array(gender if gender is not None else ["unknown"] * len(ids), dtype=object)
    return ImageTable(np.asarray(values, dtype=np.float64), ids, gender, ids, groups)


def halved(*tables) -> Halves:
    groups = sorted({group for table in tables for group in table.group})
    rng = np.random.default_rng(0)
    return Halves(dict(zip(groups, halves(np.zeros(len(groups)), module.HALVES, rng), strict=True)))


def test_unrelated_captions_are_at_their_nulls_and_related_ones_beyond():
    rng = np.random.default_rng(6)
    for shared, related in ((0.0, False), (1.5, True)):
        one, other = (images(values) for values in drawn(rng, n=100, shared=shared))
        sides = [(table, np.zeros(WIDTH)) for table in (one, other)]
        told = alike(*sides, ("en", "ar"), halved(one), rng)
        for name in ("svcca", "pwcca", "procrustes"):
            assert (told[name]["null"]["p"] <= 0.05) == related
        assert (told["procrustes"]["value"] < told["procrustes"]["null"]["bound"]) == related
        assert (told["cka"]["value"] > 0.1) == related
        assert told["subspace"]["ceiling"] > 0.8 and told["subspace"]["chance"] == SUBSPACE / WIDTH
        assert json.dumps(told, default=lambda value: value.tolist())


def test_images_of_one_group_are_one():
    """Two pictures of each person are alike in any language: that is one witness, and no likeness of the languages."""
    rng = np.random.default_rng(9)
    persons = [np.repeat(side, 2, axis=0) for side in drawn(rng, n=40, shared=0.5)]
    each = [x + 0.01 * rng.normal(size=x.shape) for x in persons]
    groups = [f"g{i // 2:02d}" for i in range(80)]
    one, other = (images(x, groups=groups) for x in each)
    told = alike((one, np.zeros(WIDTH)), (other, np.zeros(WIDTH)), ("en", "ar"), halved(one), rng)
    means = [x.reshape(40, 2, WIDTH).mean(axis=1) for x in each]
    assert (told["images"], told["groups"]) == (80, 40)
    assert told["cka"]["value"] == pytest.approx(unbiased_cka(*means), abs=1e-9)
    assert told["cka"]["value"] < unbiased_cka(*each) - 0.01
    hits = [np.diag(rank_all(*pair)) <= 1 for pair in (means, means[::-1])]
    assert [row["value"] for row in told["retrieval"]] == pytest.approx([of.mean() for of in hits])


def test_gender_by_hand_and_what_deviates():
    """Cosine, AUROC and share within a subspace of the whole; a direction anew on each half."""
    rng = np.random.default_rng(7)
    along = np.eye(WIDTH)[0]
    pooled = {}
    for language in ("en", "ar"):
        gender = np.tile(["female", "male"], 30)
        tables = []
        for split in ("train", "test"):
            values = rng.normal(size=(60, WIDTH)) * [3, *[1] * (WIDTH - 1)]
            values += np.where(gender == "female", 2.0, 0)[:, None] * along
            tables.append(images(values, ids=[f"{split}{i:02d}" for i in range(60)], gender=gender))
        pooled[language] = tuple(tables)
    told = gendered(pooled, halved(*pooled["en"]), rng)
    female = {k: [table.gender == "female" for table in v] for k, v in pooled.items()}
    d = {
        k: v[0].values[female[k][0]].mean(axis=0) - v[0].values[~female[k][0]].mean(axis=0)
        for k, v in pooled.items()
    }
    expected = d["en"] @ d["ar"] / np.linalg.norm(d["en"]) / np.linalg.norm(d["ar"])
    assert told["cosine"]["value"] == pytest.approx(expected)
    row = told["transfer"][0]
    assert (row["source"], row["target"]) == ("en", "ar")
    assert row["value"] == pytest.approx(auroc(pooled["ar"][1].values @ d["en"], female["ar"][1]))
    for of in (told["cosine"], row):
        assert 0.005 < np.std(of["deviations"]) < 0.3 and len(of["deviations"]) == module.HALVES
    within = {(of["direction"], of["subspace"]): of for of in told["within"]}
    u, _, vt = np.linalg.svd(pooled["ar"][0].values - pooled["ar"][0].values.mean(axis=0))
    share = np.square(vt[:SUBSPACE] @ d["en"]).sum() / np.square(d["en"]).sum()
    assert within["en", "ar"]["value"] == pytest.approx(share)
    few = {k: (v[0].rows(np.arange(6)), v[1]) for k, v in pooled.items()}
    assert gendered(few, halved(*pooled["en"]), rng)["cosine"]["value"] is None


def test_stage_from_files(tmp_path):
    """Captions of train and test images in two languages; the measures of the whole are those of the means by hand."""
    rng, count = np.random.default_rng(8), 48
    content = rng.normal(size=(count, WIDTH))
    frame = pd.DataFrame({"image_id": [f"i{i:03d}" for i in range(count)], "category": "", "caption": "x"})
    frame["sample_id"] = frame["image_id"] + "#0"
    frame["gender"] = np.where(np.arange(count) % 4 < 2, "female", "male")
    frame["split"], frame["label_spans"] = ["train", "test"] * (count // 2), "[[0, 1]]"
    world, tokens = World(), [Token("prompt", 0, 1), Token("caption", 0, 1), Token("caption", 2, 3)]
    pooled = {}
    for language in ("en", "ar"):
        x = content[:, None] + rng.normal(size=(count, 3, WIDTH))
        x[:, 1] += np.where(frame["gender"] == "female", 1.0, -1.0)[:, None]
        world[language] = write_corpus(
            tmp_path,
            frame,
            dict.fromkeys(frame["sample_id"], tokens),
            x.reshape(-1, WIDTH),
            language=language,
        )
        pooled[language] = x[:, 1:].mean(axis=1)
    conditions = ["caption", "caption_whole"]
    representations(**world.inputs, conditions=conditions, seed=0, out=tmp_path / "out.json")
    document = read_json(tmp_path / "out.json", "representations")
    (pair,) = document["pairs"]
    (read,) = pair["reads"]
    test = (frame["split"] == "test").to_numpy()
    assert read["images"] == read["groups"] == count // 2
    assert read["cka"]["value"] == pytest.approx(
        unbiased_cka(pooled["en"][test], pooled["ar"][test]), abs=1e-5
    )
    masked, whole = pair["gender"]
    assert [masked["condition"], whole["condition"]] == conditions
    assert (
        whole["transfer"][0]["value"] > 0.9 > abs(masked["cosine"]["value"])
        and whole["cosine"]["value"] > 0.5
    )
