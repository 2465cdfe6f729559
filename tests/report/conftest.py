"""A small study's result files and its page."""

import pytest
from explored_study import write_explored
from result_files import arguments, write_study

from crosslens.report.build import build_report


@pytest.fixture(scope="session")
def told_study(tmp_path_factory):
    """Result files, arguments of build_report, and the page they give."""
    folder = tmp_path_factory.mktemp("told")
    files = write_study(folder / "in")
    given = arguments(files, folder)
    build_report(**given, out=folder / "index.html")
    return files, given, (folder / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def explored(tmp_path_factory):
    """A study whose features have pages."""
    return write_explored(tmp_path_factory.mktemp("explored"))


@pytest.fixture(autouse=True)
def drawn_once(request, monkeypatch):
    """As PNG alone: test_formats looks at the others, which take as long once more."""
    if request.path.stem != "test_formats":
        monkeypatch.setattr("crosslens.figures.style.LINES", {})
