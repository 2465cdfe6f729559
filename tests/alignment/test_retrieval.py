"""Retrieval on translations whose likeness is known, and its ranks against a sort."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist
from world import Token, World, write_corpus

from crosslens.alignment import retrieval
from crosslens.alignment.cka import linear_cka, unbiased_cka
from crosslens.alignment.retrieval import caption_retrieval, ranks
from crosslens.errors import InputError
from crosslens.tables.documents import read_json, write_table

WIDTH, IMAGES = 16, 120


@pytest.fixture(autouse=True, scope="module")
def _few_draws():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrieval, "BOOTSTRAPS", 200)
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


def scores(pair, source, *, centred):
    (found,) = [row for row in pair["retrieval"] if (row["source"], row["centred"]) == (source, centred)]
    return found


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
        assert found["mrr"]["low"] <= found["mrr"]["value"] <= found["mrr"]["high"]
    raw = [pooled[language][test] for language in ("en", "ar")]
    assert pair["cka"]["linear"]["value"] == pytest.approx(linear_cka(*raw))
    assert pair["cka"]["unbiased"]["value"] == pytest.approx(unbiased_cka(*raw))
    assert pair["cka"]["unbiased"]["null"]["p"] == 0.01


def test_a_first_token_of_huge_norm_is_left_out_and_counted(tmp_path):
    """Means over the other two tokens are what is compared: the rank is theirs, whatever the sink says."""
    given, frame, pooled = write_translations(tmp_path, shared=3.0, offset=0.0, sink=300.0)
    pair = run(given, tmp_path / "out.json")
    assert pair["sinks"] == [IMAGES, IMAGES] and pair["dropped_samples"] == [0, 0]
    raw = [pooled[language][frame["split"] == "test"] for language in ("en", "ar")]
    assert pair["cka"]["unbiased"]["value"] == pytest.approx(unbiased_cka(*raw))


def test_unrelated_captions_are_at_chance(tmp_path):
    given, _, _ = write_translations(tmp_path, shared=0.0, offset=0.0)
    pair = run(given, tmp_path / "out.json")
    assert pair["chance"] == pytest.approx(
        {"r1": 1 / 60, "r5": 5 / 60, "mrr": sum(1 / i for i in range(1, 61)) / 60}
    )
    for row in pair["retrieval"]:
        assert row["r1"]["value"] < 0.1 and row["mrr"]["low"] < pair["chance"]["mrr"] * 1.5
    assert pair["cka"]["unbiased"]["null"]["p"] > 0.01 and abs(pair["cka"]["unbiased"]["value"]) < 0.1
    assert pair["cka"]["linear"]["value"] > 0.1


def test_centring_takes_a_language_offset_away(tmp_path):
    """Without an offset and with a huge one the centred scores are the same; without centring all cosines are alike."""
    near = run(write_translations(tmp_path / "near", shared=1.0, offset=0.0)[0], tmp_path / "near.json")
    far = run(write_translations(tmp_path / "far", shared=1.0, offset=50.0)[0], tmp_path / "far.json")
    for source in ("en", "ar"):
        centred = [scores(pair, source, centred=True)["r1"]["value"] for pair in (near, far)]
        assert centred[0] == pytest.approx(centred[1]) and centred[0] > 0.3
        assert scores(far, source, centred=False)["r1"]["value"] < centred[1]


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
