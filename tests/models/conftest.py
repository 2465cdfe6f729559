"""The tiny models, made once."""

import pytest
from tiny import save_dataset, save_tiny_text, save_tiny_vlm

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
