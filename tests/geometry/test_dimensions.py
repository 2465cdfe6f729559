"""Directions in use: languages whose covariance is known, one that uses more of them, and two that do not differ."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import entropy
from world import Token, World, write_corpus

from crosslens.geometry.dimensions import (
    FOLDS,
    difference,
    fold_moments,
    measure_dimensions,
    pseudo_values,
    variances,
)
from crosslens.tables.activations import Activations
from crosslens.tables.documents import read_json

WIDTH = 8


def write_world(folder, scales: dict[str, np.ndarray], *, images=60, words=8, common=0.0, seed=0) -> World:
    """Caption tokens with deviations `scales` (d) about a far mean; `common`: size of what the tokens of an image share."""
    rng = np.random.default_rng(seed)
    ids = [f"i{i:03d}" for i in range(images)]
    frame = pd.DataFrame({"sample_id": [f"{i}#0" for i in ids], "image_id": ids, "group": ids})
    frame["split"], frame["label_spans"] = "test", "[]"
    samples = {name: [Token("prompt"), *[Token("caption")] * words] for name in frame["sample_id"]}
    world = World()
    shared = common * rng.normal(size=(images, 1, WIDTH))
    for language, scale in scales.items():
        x = (rng.normal(size=(images, words + 1, WIDTH)) + shared) * scale + 100.0
        x[:, 0] = 1e3 * rng.normal(size=(images, WIDTH))  # the prompt is not counted
        world[language] = write_corpus(
            folder, frame, samples, x.reshape(-1, WIDTH), language=language, parts=2
        )
    return world


def run(folder, world, seed=0) -> dict:
    measure_dimensions(**world.inputs, condition="caption", seed=seed, out=folder / "dimensions.json")
    return read_json(folder / "dimensions.json", "dimensions")


def test_the_spectrum_is_that_of_the_centred_tokens(tmp_path):
    narrow = np.array([3.0, 1.0, *[0.1] * (WIDTH - 2)])
    world = write_world(tmp_path, {"en": np.ones(WIDTH), "ar": narrow})
    document = run(tmp_path, world)
    assert (document["images"], document["folds"], document["languages"]) == (60, FOLDS, ["en", "ar"])
    for language, corpus in world.items():
        x = corpus.x[corpus.table.role == corpus.table.role.max()].astype(np.float64)
        assert document["of"][language]["tokens"] == len(x) == 480
        expected = np.linalg.svd(x - x.mean(axis=0), compute_uv=False) ** 2
        assert document["of"][language]["bits"] == pytest.approx(entropy(expected, base=2))
        ratio = expected.sum() ** 2 / np.square(expected).sum()
        assert document["of"][language]["participation_ratio"] == pytest.approx(ratio)
    (row,) = document["differences"]
    truth = entropy(narrow**2, base=2) - 3
    assert row["languages"] == ["en", "ar"] and row["low"] < truth < row["high"] < 0 and row["p"] < 1e-6


def test_leaving_a_fold_out_is_leaving_its_tokens_out(tmp_path):
    (corpus,) = write_world(tmp_path, {"en": np.ones(WIDTH)}, images=20).values()
    keep = corpus.table.role == corpus.table.role.max()
    fold = corpus.table.sample % FOLDS
    moments = fold_moments(Activations(corpus.activations), corpus.table, keep, fold)
    left = corpus.x[keep & (fold != 3)].astype(np.float64)
    expected = np.linalg.eigvalsh(np.cov(left.T, bias=True))[::-1]
    np.testing.assert_allclose(variances(moments, 3), expected, rtol=1e-6)


def test_too_few_images_are_measured_and_not_compared(tmp_path):
    document = run(tmp_path, write_world(tmp_path, {"en": np.ones(WIDTH), "ar": np.ones(WIDTH)}, images=6))
    assert document["of"]["en"]["bits"] > 2.5 and document["of"]["en"]["bits_low"] is None
    assert document["differences"] == [
        {"languages": ["en", "ar"], "bits": None, "low": None, "high": None, "p": None}
    ]


SCALE = np.geomspace(2, 0.3, WIDTH)
"""Of a cloud that is not round: where all directions are alike bits are at their most, and no sample can have more."""


def simulated(rng, images, words, common) -> tuple[np.ndarray, np.ndarray]:
    """Pseudo-values of two languages of one covariance whose tokens share what their image has."""
    shared = common * rng.normal(size=(images, 1, WIDTH))
    found = []
    for length in (words, 2 * words):
        fold = np.repeat(np.arange(images) % FOLDS, length)
        x = ((rng.normal(size=(images, length, WIDTH)) + shared) * SCALE).reshape(-1, WIDTH)
        parts = [x[fold == each] for each in range(FOLDS)]
        found.append(
            pseudo_values(
                (
                    np.array([len(part) for part in parts], dtype=float),
                    np.array([part.sum(axis=0) for part in parts]),
                    np.array([part.T @ part for part in parts]),
                )
            )
        )
    return tuple(found)


def false_alarms(studies, images, words, common) -> float:
    rng = np.random.default_rng(0)
    return np.mean([difference(*simulated(rng, images, words, common))["p"] < 0.05 for _ in range(studies)])


def test_languages_of_one_covariance_do_not_differ_however_many_tokens_they_have():
    """Twice the tokens of few: without the correction the longer language would always have more bits."""
    assert 0 < false_alarms(100, images=60, words=4, common=0.5) < 0.12


@pytest.mark.long
@pytest.mark.parametrize("images", [40, 200])
@pytest.mark.parametrize("words", [3, 10])
@pytest.mark.parametrize("common", [0.0, 1.0])
def test_false_alarms_of_the_difference(images, words, common):
    found = false_alarms(1000, images, words, common)
    assert 0.02 < found < 0.09, found
