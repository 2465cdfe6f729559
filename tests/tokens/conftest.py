"""Tiny models of the real classes, shared with the tests of the models."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "models"))

from tiny import save_dataset, save_tiny_text, save_tiny_vlm

from crosslens.models.load import load_model


@pytest.fixture(scope="session")
def vlm(tmp_path_factory):
    return load_model(str(save_tiny_vlm(tmp_path_factory.mktemp("vlm") / "tiny-vlm")), device="cpu")


@pytest.fixture(scope="session")
def text_folder(tmp_path_factory):
    return save_tiny_text(tmp_path_factory.mktemp("text") / "tiny-text")


@pytest.fixture(scope="session")
def text_model(text_folder):
    return load_model(str(text_folder), device="cpu")


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """(language → dataset parquet, image folder)."""
    folder = tmp_path_factory.mktemp("data")
    saved = {language: save_dataset(folder, language, 6) for language in ("en", "ar")}
    return {language: path for language, (path, _) in saved.items()}, saved["en"][1]
