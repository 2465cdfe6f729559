"""An adapter's helper modules: run with it, part of the keys, and nothing else from outside of the installation."""

import os
import py_compile
import sys

import pytest

from crosslens.errors import InputError
from crosslens.models.user_code import run_file
from crosslens.store.imports import imported_beside


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


def test_a_link_leads_to_the_modules_beside_its_target(folder):
    (folder / "shared").mkdir()
    (folder / "shared/adapter_v2.py").write_text("import linked_helper\n")
    (folder / "shared/linked_helper.py").write_text("")
    (folder / "mine.py").symlink_to("shared/adapter_v2.py")
    run_file(folder / "mine.py")
    assert "linked_helper" in sys.modules


@pytest.mark.parametrize(
    "read",
    [
        "exec(open('{}').read())",
        "import pathlib; pathlib.Path('{}').read_text()",
        "import numpy; numpy.genfromtxt('{}', dtype=str)",
        "import reading_helper; reading_helper.read('{}')",
    ],
)
def test_a_file_that_it_reads_and_no_key_holds_is_refused(folder, read):
    (folder / "factors.txt").write_text("x = 1\n")
    (folder / "reading_helper.py").write_text("def read(file): open(file).close()\n")
    (folder / "adapter.py").write_text(read.format(folder / "factors.txt"))
    with pytest.raises(InputError, match=r"it reads .*factors\.txt, which is in no key") as told:
        run_file(folder / "adapter.py")
    assert told.value.where == folder / ("reading_helper.py" if "helper" in read else "adapter.py")


def test_what_imports_read_and_what_it_writes_is_not_its_own(folder):
    (folder / "adapter.py").write_text(
        "import wave, sysconfig, transformers.models.olmo2\nimport seaborn\n"
        "open(__file__).close()\nopen('/dev/null', 'w').close()\n"
    )
    run_file(folder / "adapter.py")
    (folder / "beside.txt").write_text("")
    assert (folder / "beside.txt").open().read() == "", "outside of a run nothing is heard"


def test_bytecode_of_another_source_of_the_same_size_and_date_is_not_run(folder):
    """As `cp -p` leaves it."""
    helper, date = folder / "a_stale_helper.py", (1_700_000_000, 1_700_000_000)
    helper.write_text("VALUE = 1\n")
    os.utime(helper, date)
    py_compile.compile(str(helper))
    helper.write_text("VALUE = 2\n")
    os.utime(helper, date)
    (folder / "family.py").write_text("from a_stale_helper import VALUE\nassert VALUE == 2, VALUE\n")
    run_file(folder / "family.py")
