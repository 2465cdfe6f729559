"""Tiny models that write: with a chat template, without one, and one that ends its texts often."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
from tiny import save_tiny_text
from writers import let_texts_end

from crosslens.models.load import load_model


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """chat, plain and ending: folders of the same decoder."""
    root = tmp_path_factory.mktemp("writers")
    return {
        "chat": save_tiny_text(root / "chat"),
        "plain": save_tiny_text(root / "plain", chat=False),
        "ending": let_texts_end(save_tiny_text(root / "ending")),
    }


@pytest.fixture(scope="session", params=["chat", "plain", "ending"])
def writer(request, folders):
    """Each of the models, loaded."""
    return load_model(str(folders[request.param]), device="cpu")
