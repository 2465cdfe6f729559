"""The result files of a small study, shared with the tests of the report."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "report"))

from result_files import write_study


@pytest.fixture(scope="session")
def drawn_study(tmp_path_factory):
    """Result files of one study of two layers."""
    return write_study(tmp_path_factory.mktemp("drawn") / "in")


@pytest.fixture(autouse=True)
def drawn_once(request, monkeypatch):
    """As PNG alone: test_formats looks at the others, which take as long once more."""
    if request.path.stem != "test_formats":
        monkeypatch.setattr("crosslens.figures.style.LINES", {})
