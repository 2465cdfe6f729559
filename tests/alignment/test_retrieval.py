"""Retrieval on translations whose likeness is known, and its ranks against a sort."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist
from world import Token, World, write_corpus

from crosslens.alignment import ranks as ranking
from crosslens.alignment import retrieval
from crosslens.alignment.cka import cka_with_null, linear_cka, unbiased_cka
from crosslens.alignment.ranks import found, rank_all
from crosslens.alignment.retrieval import caption_retrieval
from crosslens.errors import InputError
from crosslens.pooling.images import ImageTable
from crosslens.tables.alone import write_alone
from crosslens.tables.documents import read_json, write_table

WIDTH, IMAGES = 16, 120


@pytest.fixture(autouse=True, scope="module")
def _few_draws():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrieval, "BOOTSTRAPS", 200)
        patch.setattr(retrieval, "SHUFFLES", 99)
        yield


def write_translations(root, *, shared: float, offset: float, images: int = IMAGES, sink: float = 0.0):
    """Captions of three tokens after a prompt token; what an image's captions share has size `shared`.

    Half of the images are train, half test; `offset` is added to all of Arabic, along no image's direction. sink: what the
    first token of each caption is multiplied by, or 0 for a token like the others.
    """
    rng = np.random.default_rng(0)
    content = rng.normal(size=(images, 1, WIDTH - 1))
    frame = pd.DataFrame(
        {"image_id": [f"i{i:03d}" for i in range(images)], "gender": "unknown", "category": ""}
    )
    frame["sample_id"] = frame["image_id"] + "#0"
    frame["caption"] = [f"caption {i}" for i in range(images)]
    frame["split"] = ["train", "test"] * (images // 2)
    frame["label_spans"] = json.dumps([[0, 100]])
    tokens = [Token("prompt", 0, 3), *(Token("caption", start, start + 3) for start in (0, 3, 6))]
    world, pooled = World(), {}
    for language in ("en", "ar"):
        order = rng.permutation(images)
        x = np.zeros((images, 4, WIDTH))
        x[:, :, :-1] = rng.normal(size=(images, 4, WIDTH - 1)) + shared * content
        x[:, :, -1] = offset if language == "ar" else -offset
        x[:, 0] = 1e3
        x[:, 1] *= sink or 1
        pooled[language] = x[:, 1 + (sink > 0) :].mean(axis=1).astype(np.float32).astype(np.float64)
        samples = dict.fromkeys(frame["sample_id"].iloc[order], tokens)
        world[language] = write_corpus(root, frame, samples, x[order].reshape(-1, WIDTH), language=language)
    return world.inputs, frame, pooled


def run(given, out, **changed):
    caption_retrieval(**given, seed=0, out=out, **changed)
    return read_json(out, "retrieval")["pairs"][0]


def scores(pair, source, *, centred, read="caption"):
    asked = (read, source, centred)
    (found,) = [row for row in pair["retrieval"] if (row["read"], row["source"], row["centred"]) == asked]
    return found


def wilson(hits, n, z=1.959964):
    """Wilson's (1927) interval, written out."""
    p = hits / n
    centre, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)


def ranks(queries, candidates, **more):
    """Of candidate i for query i."""
    return np.diag(rank_all(queries, candidates, **more))


def cka_of(pair, read="caption"):
    return next(row for row in pair["cka"] if row["read"] == read)


def test_translations_are_found_in_both_directions(tmp_path):
    given, frame, pooled = write_translations(tmp_path, shared=3.0, offset=0.0)
    pair = run(given, tmp_path / "out.json")
    assert pair["images"] == pair["images_in_common"] == 60
    assert pair["same_text"] == pair["sinks"] == [0, 0]
    test, train = (frame["split"] == split for split in ("test", "train"))
    sides = {language: x[test] - x[train].mean(axis=0) for language, x in pooled.items()}
    for source, target in (("en", "ar"), ("ar", "en")):
        distance = cdist(sides[source], sides[target], "cosine")
        rank = 1 + (distance < np.diag(distance)[:, None]).sum(axis=1)
        found = scores(pair, source, centred=True)
        assert found["r1"]["value"] == pytest.approx(np.mean(rank == 1)) and found["r1"]["value"] > 0.9
        assert found["r5"]["value"] == pytest.approx(np.mean(rank <= 5))
        assert found["mrr"]["value"] == pytest.approx(np.mean(1 / rank))
        bounds = wilson(int(np.sum(rank == 1)), len(rank))
        assert (found["r1"]["low"], found["r1"]["high"]) == pytest.approx(bounds)
        assert found["mrr"]["low"] <= found["mrr"]["value"] <= found["mrr"]["high"]
    raw = [pooled[language][test] for language in ("en", "ar")]
    assert cka_of(pair)["linear"]["value"] == pytest.approx(linear_cka(*raw))
    assert cka_of(pair)["unbiased"]["value"] == pytest.approx(unbiased_cka(*raw))
    assert cka_of(pair)["unbiased"]["null"]["p"] == 0.01


def test_a_first_token_of_huge_norm_is_left_out_and_counted(tmp_path):
    """Means over the other two tokens are what is compared: the rank is theirs, whatever the sink says."""
    given, frame, pooled = write_translations(tmp_path, shared=3.0, offset=0.0, sink=300.0)
    pair = run(given, tmp_path / "out.json")
    assert pair["sinks"] == [IMAGES, IMAGES] and pair["dropped_samples"] == [0, 0]
    raw = [pooled[language][frame["split"] == "test"] for language in ("en", "ar")]
    assert cka_of(pair)["unbiased"]["value"] == pytest.approx(unbiased_cka(*raw))


def test_unrelated_captions_are_at_chance(tmp_path):
    given, _, _ = write_translations(tmp_path, shared=0.0, offset=0.0)
    pair = run(given, tmp_path / "out.json")
    assert pair["chance"] == pytest.approx(
        {"r1": 1 / 60, "r5": 5 / 60, "mrr": sum(1 / i for i in range(1, 61)) / 60}
    )
    for row in pair["retrieval"]:
        assert row["r1"]["value"] < 0.1 and row["mrr"]["low"] < pair["chance"]["mrr"] * 1.5
    assert cka_of(pair)["unbiased"]["null"]["p"] > 0.01 and abs(cka_of(pair)["unbiased"]["value"]) < 0.1
    assert cka_of(pair)["linear"]["value"] > 0.1


def test_centring_takes_a_language_offset_away(tmp_path):
    """Without an offset and with a huge one the centred scores are the same; without centring all cosines are alike."""
    near = run(write_translations(tmp_path / "near", shared=1.0, offset=0.0)[0], tmp_path / "near.json")
    far = run(write_translations(tmp_path / "far", shared=1.0, offset=50.0)[0], tmp_path / "far.json")
    for source in ("en", "ar"):
        centred = [scores(pair, source, centred=True)["r1"]["value"] for pair in (near, far)]
        assert centred[0] == pytest.approx(centred[1]) and centred[0] > 0.3
        assert scores(far, source, centred=False)["r1"]["value"] < centred[1]


def test_studies_without_pictures_have_one_row(tmp_path):
    pair = run(write_translations(tmp_path, shared=1.0, offset=0.0)[0], tmp_path / "out.json")
    assert {row["read"] for row in pair["retrieval"]} == {"caption"} and pair["above_prompt"] == []


def test_one_language_can_find_what_the_other_cannot():
    """All queries look like candidate 0's direction, but candidate 0 is found by its own."""
    queries = np.array([[1.0, 0.0], [1.0, 0.2], [1.0, 0.4]])
    candidates = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 1.0]])
    np.testing.assert_array_equal(ranks(queries, candidates), [1, 2, 3])
    np.testing.assert_array_equal(ranks(candidates, queries), [1, 2, 1])


@pytest.mark.parametrize("rows", [1, 7, 1024])
def test_ranks_in_blocks_are_those_of_a_sort(rows):
    rng = np.random.default_rng(0)
    queries, candidates = rng.normal(size=(2, 50, 8))
    order = np.argsort(cdist(queries, candidates, "cosine"), axis=1)
    expected = [1 + list(row).index(i) for i, row in enumerate(order)]
    np.testing.assert_array_equal(ranks(queries, candidates, rows=rows), expected)


def test_candidates_that_cannot_be_told_apart_share_their_rank():
    values = np.ones((5, 3))
    np.testing.assert_array_equal(ranks(values, values), np.full(5, 3.0))
    np.testing.assert_array_equal(ranks(np.zeros((5, 3)), values), np.full(5, 3.0))


def write_pictured(root, *, words: float, picture=3.0, images=240):
    """Captions behind pictures: prompt and caption hold the picture by `picture`; without it a caption holds its words by
    `words`, of which the caption behind the picture holds as much beside."""
    rng = np.random.default_rng(1)
    seen, said = rng.normal(size=(2, images, WIDTH))
    ids = [f"i{i:03d}" for i in range(images)]
    frame = pd.DataFrame({"image_id": ids, "gender": "unknown", "category": "", "label_spans": "[]"})
    frame["sample_id"], frame["caption"] = frame["image_id"] + "#0", frame["image_id"]
    frame["split"] = ["train", "test"] * (images // 2)
    world, alone = World(), {}
    samples = dict.fromkeys(frame["sample_id"], [Token("prompt", 0, 3), Token("caption", 0, 3)])
    for language in ("en", "ar"):
        x = picture * seen[:, None] + rng.normal(size=(images, 2, WIDTH))
        x[:, 1] += words * said
        world[language] = write_corpus(root, frame, samples, x.reshape(-1, WIDTH), language=language)
        alone[language] = [root / f"{language}_alone.zarr"]
        without = (words * said + rng.normal(size=(images, WIDTH))).astype(np.float32)
        identity = {"site": "4", "layer": 4, "model": "toy", "revision": "1", "language": language}
        order = rng.permutation(images)
        write_alone(alone[language][0], without[order], frame["sample_id"].iloc[order], sinks=0, **identity)
    return world.inputs | {"alone": alone}


def test_what_the_picture_alone_finds_is_no_finding_of_the_captions(tmp_path):
    """Behind their pictures captions are found as often as the constant prompt finds them; their words say nothing."""
    pair = run(write_pictured(tmp_path, words=0.0), tmp_path / "out.json")
    for source in ("en", "ar"):
        assert scores(pair, source, centred=True)["r1"]["value"] > 0.8
        assert scores(pair, source, centred=True, read="prompt")["r1"]["value"] > 0.8
        alone = scores(pair, source, centred=True, read="alone")["r1"]
        assert alone["value"] < 0.05 and alone["p"] > 0.01
    for row in pair["above_prompt"]:
        assert row["r1"]["low"] <= 0 <= row["r1"]["high"] and row["r1"]["p"] > 0.01
        assert row["cka"]["low"] <= 0 <= row["cka"]["high"] and row["cka"]["p"] > 0.01
    assert cka_of(pair, "alone")["unbiased"]["null"]["p"] > 0.01


def test_what_the_words_find_is_told_beside_the_picture(tmp_path):
    """Half of a caption is what it says, so that the prompt, which has the picture alone, finds less."""
    pair = run(write_pictured(tmp_path, words=2.0, picture=1.0), tmp_path / "out.json")
    for source in ("en", "ar"):
        alone = scores(pair, source, centred=True, read="alone")["r1"]
        assert alone["value"] > 0.8 and alone["p"] == 1 / 2000
    for row in pair["above_prompt"]:
        caption, prompt = (
            scores(pair, row["source"], centred=True, read=read)["r1"]["value"]
            for read in ("caption", "prompt")
        )
        assert row["r1"]["value"] == pytest.approx(caption - prompt) and row["r1"]["low"] > 0.3
        assert row["r1"]["p"] < 0.01 and row["cka"]["low"] > 0 and row["cka"]["p"] < 0.01


def test_chance_reaches_its_level_as_often_as_it_says(monkeypatch):
    """Unrelated queries and candidates, some of them crowded around one direction: p of R@1 is valid, and not of use by luck."""
    rng = np.random.default_rng(0)
    monkeypatch.setattr(ranking, "PAIRINGS", 199)
    p = []
    for trial in range(60):
        queries, candidates = rng.normal(size=(2, 40, 6)) + 2 * (trial % 2)
        weights = np.full((40, 2), 1 / 40)
        p.append(found(rank_all(queries, candidates), weights, rng)["mrr"]["p"])
    assert np.mean(np.array(p) <= 0.05) <= 0.12 and 0.3 < np.mean(p) < 0.7


def strangers(rng, *, groups, size, correlation=0.5, width=4):
    """Two languages' captions of the same images, which have nothing in common; those of one group are alike."""
    group = np.repeat(np.arange(groups), size).astype(str).astype(object)
    ids = np.array([f"i{i:03d}" for i in range(groups * size)], dtype=object)
    sides = []
    for _ in ("en", "ar"):
        alike = np.sqrt(correlation) * rng.normal(size=(groups, width)).repeat(size, axis=0)
        values = alike + np.sqrt(1 - correlation) * rng.normal(size=(groups * size, width))
        table = ImageTable(values, ids, np.full(len(ids), "unknown"), np.full(len(ids), ""), group)
        sides.append({"caption": retrieval.Sides(np.zeros(width), table)})
    return sides


def test_images_of_one_group_are_one_witness(monkeypatch):
    """16 groups of 5 images, within-group correlation .5: what shuffles images calls languages alike that are not."""
    monkeypatch.setattr(ranking, "PAIRINGS", 99)
    monkeypatch.setattr(retrieval, "BOOTSTRAPS", 10)
    rng, p = np.random.default_rng(0), {"units": [], "images": [], "r1": []}
    for _ in range(80):
        given = strangers(rng, groups=16, size=5)
        chosen, group = retrieval._common(given, 5000, rng)
        assert len(group) == 80
        told = retrieval.compare(dict(zip(("en", "ar"), chosen, strict=True)), rng=rng)
        p["units"].append(told["cka"][0]["unbiased"]["null"]["p"])
        p["r1"].append(told["retrieval"][0]["r1"]["p"])
        values = [side["caption"].test.values for side in given]
        of_images = cka_with_null(*values, draws=19, rng=rng)["unbiased"]
        p["images"].append(np.mean(np.append(of_images.null, of_images.value) >= of_images.value))
    claimed = {name: np.mean(np.array(values) <= 0.05) for name, values in p.items()}
    assert claimed["images"] > 0.2 and claimed["units"] <= 0.1 and claimed["r1"] <= 0.1, claimed
    side = chosen[0]["caption"].test
    expected = [given[0]["caption"].test.values[i * 5 : i * 5 + 5].mean(axis=0) for i in range(16)]
    order = np.argsort(side.group.astype(int))
    np.testing.assert_allclose(side.values[order], expected)
    assert told["chance"]["r1"] == pytest.approx(1 / 16)


def test_a_caption_of_the_same_group_is_no_distractor(tmp_path):
    """Every image is there twice: looked for one by one, either of the two may come first."""
    given, frame, _ = write_translations(tmp_path, shared=3.0, offset=0.0)
    alone = run(given, tmp_path / "alone.json")
    frame["group"] = [f"g{i // 4}" for i in range(IMAGES)]
    for language in ("en", "ar"):
        write_table(given["datasets"][language], "dataset", frame)
    pair = run(given, tmp_path / "grouped.json")
    assert (pair["images"], pair["units"]) == (60, 30) and (alone["images"], alone["units"]) == (60, 60)
    assert pair["chance"]["r1"] == pytest.approx(1 / 30)
    sampled = run(given, tmp_path / "some.json", max_images=10)
    assert (sampled["images"], sampled["units"], sampled["images_in_common"]) == (20, 10, 60)


def test_of_seven_images_nothing_is_tested(tmp_path):
    rng = np.random.default_rng(0)
    for size, told in ((7, False), (8, True)):
        chosen, _ = retrieval._common(strangers(rng, groups=size, size=1), 5000, rng)
        pair = retrieval.compare(dict(zip(("en", "ar"), chosen, strict=True)), rng=rng)
        ps = [pair["retrieval"][0]["r1"]["p"], pair["cka"][0]["unbiased"]["null"]["p"]]
        assert pair["tested"] is told and [p is not None for p in ps] == [told, told]
    assert pair["because"] is None


def test_a_sample_of_the_images_and_equal_captions_are_counted(tmp_path):
    given, frame, _ = write_translations(tmp_path, shared=3.0, offset=0.0)
    frame.loc[[1, 3, 5], "caption"] = "the same"
    write_table(given["datasets"]["ar"], "dataset", frame)
    assert run(given, tmp_path / "all.json")["same_text"] == [0, 3]
    pair = run(given, tmp_path / "some.json", max_images=20)
    assert (pair["images"], pair["images_in_common"]) == (20, 60)
    assert pair["chance"]["r1"] == pytest.approx(1 / 20)
    run(given, tmp_path / "again.json", max_images=20)
    assert (tmp_path / "some.json").read_bytes() == (tmp_path / "again.json").read_bytes()


def test_languages_without_images_in_common_are_an_error(tmp_path):
    given, frame, _ = write_translations(tmp_path, shared=1.0, offset=0.0)
    frame["split"] = frame["split"].map({"train": "test", "test": "train"})
    write_table(given["datasets"]["ar"], "dataset", frame)
    with pytest.raises(InputError, match="no test image in common"):
        run(given, tmp_path / "out.json")
    frame["split"] = "test"
    write_table(given["datasets"]["ar"], "dataset", frame)
    with pytest.raises(InputError, match="no train image"):
        run(given, tmp_path / "out.json")
