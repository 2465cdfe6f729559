"""From files to maps of samples and of decoder rows, on a study in which it is known what lies together."""

import numpy as np
import pandas as pd
import pytest
from world import Token, World, tokens_of, write_corpus

from crosslens.geometry.decoder import embed_decoder
from crosslens.geometry.samples import embed_samples
from crosslens.tables.documents import read_json, read_table
from crosslens.tables.tensors import save_tensors

WIDTH = 6


def write_world(folder, *, gender=0.0, language=0.0, shared=0.0, images=60) -> World:
    """A label word that shouts the gender, and one word that has it by `gender`; what an image's captions share."""
    rng = np.random.default_rng(0)
    ids = [f"i{i:03d}" for i in range(images)]
    frame = pd.DataFrame({"sample_id": [f"{i}#0" for i in ids], "image_id": ids, "caption": "she runs"})
    frame["gender"] = np.array(["female", "male", "unknown"], dtype=object)[np.arange(images) % 3]
    frame["category"], frame["split"], frame["label_spans"] = "", "test", "[[0, 3]]"
    common = shared * rng.normal(size=(images, 1, WIDTH))
    world, female = World(), (frame["gender"] == "female").to_numpy()
    for each in ("en", "ar"):
        x = rng.normal(size=(images, 3, WIDTH)) + common
        x[:, 2, 0] += gender * female
        x[:, 2, 1] += language * (each == "ar")
        x[:, 1, 2] += 50 * female  # the label word
        samples = {
            name: [Token("prompt"), *tokens_of("caption", ["she", "runs"])] for name in frame["sample_id"]
        }
        world[each] = write_corpus(folder, frame, samples, x.reshape(-1, WIDTH), language=each, parts=2)
    return world


def run(folder, world, **changed):
    chosen = {"methods": ["pca"], "images": 2000, "perplexity": 10, "permutations": 99, "seed": 0} | changed
    embed_samples(
        **world.inputs,
        condition="caption",
        **chosen,
        out_table=folder / "map.parquet",
        out=folder / "map.json",
    )
    document = read_json(folder / "map.json", "sample_map")
    labels = {(row["label"], row["space"]): row for row in document["labels"]}
    return read_table(folder / "map.parquet", "sample_embedding"), document, labels


def test_what_is_planted_lies_together_and_nothing_else(tmp_path):
    table, document, labels = run(tmp_path, write_world(tmp_path, gender=8.0))
    assert (document["images"], document["points"], document["languages"]) == (60, 120, ["en", "ar"])
    assert list(table.columns) == ["image_id", "language", "gender", "category", "pca_x", "pca_y"]
    gender = labels["gender", "activations"]
    assert gender["points"] == 80 and gender["share"] > 0.95 and gender["p"] == 0.01
    assert gender["mean"] == pytest.approx(0.5, abs=0.03)
    # neither the language, nor what has one value alone
    assert labels["language", "activations"]["p"] > 0.05
    assert labels["category", "pca"]["share"] is None and labels["category", "pca"]["values"] == 0


def test_the_label_word_and_the_own_image_are_no_part_of_it(tmp_path):
    """Captions of one image are alike: a neighbour search that counted them would find every label of the images."""
    _, _, labels = run(tmp_path, write_world(tmp_path, shared=30.0, images=90))
    assert labels["gender", "activations"]["p"] > 0.05
    assert labels["language", "activations"]["p"] > 0.05


def test_languages_that_are_apart_and_a_draw_of_images(tmp_path):
    world = write_world(tmp_path, language=20.0)
    table, document, labels = run(tmp_path, world, images=20, methods=["pca", "tsne"])
    assert document["images"] == 20 and len(table) == 40
    assert set(table["image_id"][table["language"] == "en"]) == set(
        table["image_id"][table["language"] == "ar"]
    )
    assert labels["language", "activations"]["share"] == 1 and labels["language", "tsne"]["p"] == 0.01
    assert [each["method"] for each in document["maps"]] == ["pca", "tsne"]


def test_decoder_rows_that_point_the_same_way_lie_together(tmp_path):
    import torch

    rng = np.random.default_rng(0)
    bundle = np.arange(40) % 5
    rows = (np.eye(5, 16)[bundle] + 0.01 * rng.normal(size=(40, 16))) * rng.uniform(0.1, 9, size=(40, 1))
    folder = tmp_path / "sae"
    folder.mkdir()
    save_tensors({"W_dec": torch.tensor(rows, dtype=torch.float32)}, folder / "sae_weights.safetensors")
    out = tmp_path / "map.json"
    embed_decoder(
        sae=folder,
        site="4",
        methods=["pca", "tsne"],
        perplexity=5,
        seed=0,
        out_table=tmp_path / "t.parquet",
        out=out,
    )
    document, table = read_json(out, "decoder_map"), read_table(tmp_path / "t.parquet", "decoder_embedding")
    assert (document["d_sae"], document["d_model"]) == (40, 16) and len(document["sae"]) == 64
    shown = table[["tsne_x", "tsne_y"]].to_numpy()
    distances = np.linalg.norm(shown[:, None] - shown[None], axis=2) + 1e9 * np.eye(40)
    assert (bundle[distances.argmin(axis=1)] == bundle).all()
