"""The tiny models, made once."""

import functools

import numpy as np
import pytest
from PIL import Image
from tiny import CAPTIONS, PROMPTS, save_dataset, save_tiny_text, save_tiny_vlm
from tiny_families import TEXT_FAMILIES, VISION_FAMILIES

from crosslens.models.inputs import Sample
from crosslens.models.load import load_model
from crosslens.tables.documents import read_table


@pytest.fixture(scope="session")
def vlm_folder(tmp_path_factory):
    return save_tiny_vlm(tmp_path_factory.mktemp("vlm") / "model")


@pytest.fixture(scope="session")
def vlm(vlm_folder):
    return load_model(str(vlm_folder), device="cpu")


@pytest.fixture(scope="session")
def text_model(tmp_path_factory):
    return load_model(str(save_tiny_text(tmp_path_factory.mktemp("text") / "model")), device="cpu")


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """(language → rows as dicts, image folder)."""
    folder = tmp_path_factory.mktemp("data")
    rows = {}
    for language in ("en", "ar"):
        path, images = save_dataset(folder, language, 6)
        rows[language] = read_table(path, "dataset").to_dict("records")
    return rows, images


@pytest.fixture(scope="session")
def load_family(tmp_path_factory):
    """Family name → its tiny model, saved and loaded."""

    @functools.cache
    def load_one(name):
        folder = {**TEXT_FAMILIES, **VISION_FAMILIES}[name](tmp_path_factory.mktemp(name) / "model")
        return load_model(str(folder), device="cpu")

    return load_one


@pytest.fixture(params=[*TEXT_FAMILIES, *VISION_FAMILIES])
def family(request, load_family):
    return load_family(request.param)


@pytest.fixture(params=VISION_FAMILIES)
def vision_family(request, load_family):
    return load_family(request.param)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Four pictures of different shapes."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for i, (height, width) in enumerate([(32, 32), (24, 56), (64, 32), (40, 40)]):
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="session")
def samples_of(pictures):
    """Model → four samples of different lengths in both languages, with pictures for a model that sees."""

    def samples(loaded, images=True):
        return [
            Sample(
                f"{language}{i}",
                CAPTIONS[language][i],
                PROMPTS[language],
                f"{i}.png" if images and loaded.adapter.is_vision else "",
            )
            for language, i in [("en", 2), ("ar", 1), ("en", 3), ("ar", 0)]
        ]

    return samples
