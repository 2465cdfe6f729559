"""An adapter's helper modules: run with it, part of the keys, and nothing else from outside of the installation."""

import sys

import pytest

from crosslens.errors import InputError
from crosslens.models.user_code import run_file
from crosslens.store.fingerprint import imported_beside


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def test_modules_beside_a_file_are_found_however_they_are_imported_and_whenever(folder):
    files = {
        "adapter.py": "import torch\nfrom kit_a import x\n\ndef late():\n    import kit_b.deep\n",
        "kit_a.py": "x = 1\n",
        "kit_b/__init__.py": "",
        "kit_b/deep.py": "from .other import y\n",
        "kit_b/other.py": "import adapter\ny = 2\n",
        "kit_c.py": "",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    found = {path.relative_to(folder).as_posix() for path in imported_beside(folder / "adapter.py")}
    assert found == files.keys() - {"kit_c.py"}
    run_file(folder / "adapter.py")
    assert sys.modules["kit_a"].x == 1


def test_a_module_that_no_key_follows_is_refused(folder):
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere/stray_helper.py").write_text("")
    sys.path.append(str(folder / "elsewhere"))
    (folder / "adapter.py").write_text("import stray_helper\n")
    with pytest.raises(
        InputError, match=r"adapter.py: found an import of stray_helper.*move stray_helper.py beside it"
    ):
        run_file(folder / "adapter.py")
    (folder / "named.py").write_text("import importlib\nimportlib.import_module('secret_helper')\n")
    (folder / "secret_helper.py").write_text("")
    with pytest.raises(InputError, match="secret_helper.*imported by their names"):
        run_file(folder / "named.py")
