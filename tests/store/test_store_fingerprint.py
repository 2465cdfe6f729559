import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosslens.store import code, fingerprint
from crosslens.store.fingerprint import NEUTRAL, closure
from crosslens.store.imports import SRC, module_file

STAGE = '''"""Words."""
import numpy as np
from crosslens.low import helper
from . import beside


class Settings:
    """Words."""

    k: int = 3
    """Words under a field."""


def stage(x):
    """Words."""
    return helper(x) * 2  # why
'''


@pytest.fixture
def src(tmp_path):
    """A source tree of a package with two layers."""
    files = {
        "crosslens/__init__.py": "",
        "crosslens/errors.py": "class InputError(Exception): pass\n",
        "crosslens/low.py": "from crosslens.errors import InputError\n\ndef helper(x):\n    return x + 1\n",
        "crosslens/unused.py": "import torch\n",
        "crosslens/high/__init__.py": "",
        "crosslens/high/stage.py": STAGE,
        "crosslens/high/beside.py": "import torch.nn\n",
        "crosslens/high/page.html.jinja": "<p>{{ x }}</p>",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def forget():
    """What was read of sources in this process."""
    for function in (fingerprint._file, fingerprint._parsed, fingerprint._beside, closure):
        function.cache_clear()


def fresh(src, module="crosslens.high.stage", *members):
    forget()
    return closure(module, members, src=src)


def edited(src, name, old, new):
    file = src / name
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    return fresh(src)


def test_closure_is_what_the_module_imports_and_nothing_else(src):
    found = fresh(src)
    assert sorted(found.modules) == [
        "crosslens.high",
        "crosslens.high.beside",
        "crosslens.high.stage",
        "crosslens.low",
        "crosslens/high/page.html.jinja",
    ]
    assert found.versions.keys() == {"numpy", "torch"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# why", "# because"),
        ('"""Words."""\nimport', '"""Other words."""\nimport'),
        ('    """Words."""\n    return', '    """Other\n\n    words."""\n    return'),
        ('    """Words."""\n    return', "    return"),
        ('"""Words under a field."""', '"""Others."""'),
        ("helper(x) * 2", "(helper(\n        x\n    ) * 2)"),
        ('"""Words."""\n', "'''Words.'''\n# coding style\n"),
    ],
)
def test_comments_docstrings_and_formatting_never_change_a_closure(src, old, new):
    before = fresh(src)
    assert edited(src, "crosslens/high/stage.py", old, new) == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("crosslens/high/stage.py", "* 2", "* 3"),
        ("crosslens/high/stage.py", "k: int = 3", "k: int = 4"),
        ("crosslens/low.py", "x + 1", "x - 1"),
        ("crosslens/high/beside.py", "torch.nn", "torch.nn.functional"),
        ("crosslens/high/page.html.jinja", "<p>", "<b>"),
        ("crosslens/high/__init__.py", "", "FLAG = True\n"),
    ],
)
def test_code_and_data_files_change_it(src, name, old, new):
    before = fresh(src)
    assert edited(src, name, old, new) != before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("crosslens/errors.py", "class InputError(ValueError): pass\n"),
        ("crosslens/__init__.py", "__version__ = '2'\n"),
        ("crosslens/unused.py", "import numpy\n"),
        ("crosslens/high/neighbour.py", "import sklearn\n"),
        ("crosslens/high/.stage.py.swp", "an editor's"),
        ("crosslens/high/stage.py~", "an editor's"),
        ("crosslens/high/.DS_Store", "a file browser's"),
        ("crosslens/high/__pycache__/stage.cpython-311.pyc", "an interpreter's"),
    ],
)
def test_neutral_unimported_and_left_over_files_do_not(src, name, text):
    before = fresh(src)
    (src / name).parent.mkdir(exist_ok=True)
    (src / name).write_text(text)
    assert fresh(src) == before


def test_relative_imports_of_every_level_are_followed(src):
    (src / "crosslens/high/stage.py").write_text("from ..low import helper\nfrom .beside import *\n")
    assert {"crosslens.low", "crosslens.high.beside"} <= fresh(src).modules.keys()


def test_an_import_within_a_function_is_followed(src):
    (src / "crosslens/high/stage.py").write_text(
        "def f():\n    from crosslens.low import helper\n    return helper\n"
    )
    assert "crosslens.low" in fresh(src).modules


def test_circular_imports_end(src):
    (src / "crosslens/low.py").write_text("import crosslens.high.stage\n")
    assert "crosslens.low" in fresh(src).modules


OPEN = {
    "crosslens/kinds/__init__.py": "from crosslens.kinds import base\n",
    "crosslens/kinds/base.py": "class Kind: pass\n",
    "crosslens/kinds/one.py": "from crosslens.kinds.base import Kind\n",
    "crosslens/kinds/two.py": "import scipy\nfrom crosslens.kinds.one import Kind\n",
    "crosslens/kinds/three.py": "import crosslens.unused\n",
}
FINDS = (
    'from crosslens.registry import member\n\ndef f(name):\n    return member("crosslens.kinds", name)\n',
    'from crosslens import registry\n\nKINDS = "crosslens.kinds"\nkind = registry.member(KINDS, "two")\n',
)


@pytest.mark.parametrize("finds", FINDS)
def test_an_open_package_is_entered_by_the_members_in_use(src, finds):
    for name, text in {**OPEN, "crosslens/low.py": finds}.items():
        (src / name).parent.mkdir(exist_ok=True)
        (src / name).write_text(text)

    def reached(*members):
        found = fresh(src, "crosslens.high.stage", *(f"crosslens.{name}" for name in members))
        return {name.removeprefix("crosslens.kinds.") for name in found.modules if ".kinds." in name}, found

    # a member that is built on another brings it along
    assert reached("kinds.two")[0] == {"base", "one", "two"} and "scipy" in reached("kinds.two")[1].versions
    # where none is said to be in use, any may be
    assert (
        reached()[0] == reached("other.one")[0] == reached("kinds.none")[0] == {"base", "one", "two", "three"}
    )
    # of one that is not reached nothing counts
    assert fresh(src, "crosslens.high.beside", "crosslens.kinds.one") == fresh(src, "crosslens.high.beside")
    one = reached("kinds.one")
    assert one[0] == {"base", "one"}
    (src / "crosslens/kinds/two.py").write_text("UNUSED = 1\n")
    (src / "crosslens/kinds/four.py").write_text("import torch\n")
    assert reached("kinds.one") == one
    (src / "crosslens/kinds/one.py").write_text("USED = 1\n")
    assert reached("kinds.one") != one


def test_a_package_whose_name_is_not_written_out_is_refused(src):
    (src / "crosslens/low.py").write_text(
        "from crosslens.registry import member\n\ndef f(x):\n    member(x.y, 'z')\n"
    )
    with pytest.raises(ValueError, match=r"crosslens\.low finds members"):
        fresh(src)


@pytest.fixture
def memory(tmp_path, monkeypatch):
    """Remember in a folder, as a process that begins does."""

    def begin(*folders):
        monkeypatch.setattr(code, "_memory", None)
        return code.remember_in(*(tmp_path / folder for folder in folders))

    monkeypatch.setattr(code, "_memory", None)
    return begin


def unread(monkeypatch):
    monkeypatch.setattr(code, "_parse", lambda *given: pytest.fail(f"parsed again: {given[0]}"))


def test_what_was_parsed_in_one_checkout_is_known_in_another_and_on_another_machine(src, memory, monkeypatch):
    known = memory("own")
    before = fresh(src)
    known.save()
    copy = shutil.copytree(src / "crosslens", src / "elsewhere/crosslens").parent
    unread(monkeypatch)
    memory("other", "own")  # a shared store that is only read
    assert fresh(copy) == before
    monkeypatch.undo()
    memory("own")
    assert edited(copy, "crosslens/low.py", "x + 1", "x - 1") != before


def test_the_same_bytes_under_another_name_are_other_code(src, memory):
    """Relative imports mean other modules there."""
    memory("own")
    text = "from . import beside\n"
    for name in ("crosslens/high/stage.py", "crosslens/high/__init__.py", "crosslens/low.py"):
        (src / name).write_text(text)
    for module in ("crosslens.low", "crosslens.high.stage", "crosslens.high"):
        remembered = fresh(src, module)
        code._memory, known = None, code._memory
        assert remembered == fresh(src, module)
        code._memory = known


def test_a_memory_that_grows_keeps_what_is_still_there(src, memory, monkeypatch):
    monkeypatch.setattr(code.CodeMemory, "limit", 8)
    for number in range(6):
        known = memory("own")
        (src / "crosslens/low.py").write_text(f"x = {number}\n")
        fresh(src)
        known.save()
    unread(monkeypatch)
    memory("own")
    fresh(src)
    assert len(memory("own").known) <= 8


def test_a_store_that_cannot_be_written_only_costs_time(src, memory):
    (src / "file").write_text("")
    known = memory("file/store")
    before = fresh(src)
    known.save()
    assert fresh(src) == before


def test_an_unknown_module_is_an_error(src):
    with pytest.raises(ModuleNotFoundError, match=r"crosslens\.nowhere"):
        fresh(src, "crosslens.nowhere")


@settings(max_examples=25, deadline=None)
@given(
    number=st.integers(0, 10**6), words=st.text(st.characters(codec="utf-8", exclude_characters='\\"\r\0'))
)
def test_a_constant_always_counts_and_words_never(tmp_path_factory, number, words):
    src = tmp_path_factory.mktemp("src")
    module = src / "stage.py"
    module.write_text(f"def f():\n    return {number}\n", encoding="utf-8")
    before = fresh(src, "stage")
    comment = "".join(f"# {line}\n" for line in words.splitlines())
    module.write_text(f'{comment}def f():\n    """{words} """\n    return {number}\n', encoding="utf-8")
    assert fresh(src, "stage") == before
    module.write_text(f"def f():\n    return {number + 1}\n", encoding="utf-8")
    assert fresh(src, "stage") != before


def test_closures_of_the_stages_hold_only_what_lies_below():
    """A plot in the closure of a training, say, would retrain when the plot changes."""
    forget()
    training, extraction = (
        closure(f"crosslens.{name}").modules for name in ("sae.training", "activations.extract")
    )
    for above in ("features", "gender", "figures", "report", "summary"):
        assert not [name for name in (*training, *extraction) if name.startswith(f"crosslens.{above}")]
    assert not [name for name in extraction if name.startswith("crosslens.sae")]
    assert not [name for name in training if name.startswith("crosslens.models")]


DOOR = {"__future__", "typing", "pathlib", "crosslens.results.study"}


def test_neutral_modules_only_speak():
    """What they hold may decide no number: no arithmetic library, nothing of crosslens besides themselves."""
    for name in NEUTRAL:
        file = module_file(name, SRC)
        names = {
            alias.name
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in ([ast.alias(node.module)] if isinstance(node, ast.ImportFrom) else node.names)
        }
        # the library's door for users, which no stage goes through, opens what it shows when it is asked to
        names -= DOOR if name == "crosslens" else set()
        assert names <= {"collections.abc", "contextlib", "logging", "time"}, name


UNVERSIONED = {
    "zarr": "arrays are what was written, bit by bit, or cannot be read",
    "numcodecs": "the same: codecs without loss",
    "google_crc32c": "a checksum",
    "safetensors": "tensors as they are, bit by bit",
    "jsonschema": "says what is wrong with settings; keys hold those that passed",
    "huggingface_hub": "brings files of the commit that a key names",
    "requests": "carries a server's answers, which are kept as they came",
}
"""Packages that no key follows, each with its reason."""


def imported(file: Path) -> set[str]:
    """Packages that a file imports, within functions too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.split(".")[0])
    return found - sys.stdlib_module_names - {"crosslens"}


def test_every_package_is_in_the_keys_or_does_not_decide_numbers():
    """A third-party package missing from VERSIONED would change results under an unchanged key."""
    files = sorted((SRC / "crosslens").rglob("*.py"))
    used = {package: file for file in files for package in imported(file)}
    assert used.keys() - fingerprint.VERSIONED.keys() == UNVERSIONED.keys(), used
    brought = {package for packages in fingerprint.BROUGHT.values() for package in packages}
    assert fingerprint.VERSIONED.keys() == (used.keys() - UNVERSIONED.keys()) | brought


def test_versions_of_packages_are_in_the_keys_of_the_jobs_that_use_them():
    """By the stage that is known to need them: itself, by a module that it imports late, or by another package."""
    for module, packages in {
        "crosslens.sources.write": {"polib"},
        "crosslens.data.dataset": {"pyyaml", "pillow", "pandas", "pyarrow"},
        "crosslens.models.gguf": {"gguf", "tokenizers"},
        "crosslens.tokens.inspect": {"tokenizers", "jinja2"},
        "crosslens.activations.extract": {"tokenizers", "pillow", "jinja2", "torch"},
        "crosslens.gender.grammar": {"camel-tools", "scipy"},
        "crosslens.geometry.maps": {"openTSNE", "umap-learn", "numba", "scikit-learn", "scipy"},
        "crosslens.report.build": {"jinja2", "markupsafe"},
        "crosslens.figures.layer": {"matplotlib", "kiwisolver", "pillow"},
    }.items():
        assert packages <= closure(module).versions.keys(), module


def test_nothing_imports_by_a_name_that_is_not_written_out():
    """Or a key would not follow it: only the registry does, whose packages are read from the code, and what loads libraries."""
    late = re.compile(r"\b(import_module|__import__|run_path|run_module|exec|eval|spec_from_file_location)\(")
    found = {
        file.relative_to(SRC / "crosslens").as_posix()
        for file in (SRC / "crosslens").rglob("*.py")
        if late.search(re.sub(r"\.eval\(\)|literal_eval\(", "", file.read_text(encoding="utf-8")))
    }
    # the modules of a user's, which `study.model` reads, and the libraries of a process that has no code of ours
    # and the cells of a notebook, which no key is of
    assert found == {"registry.py", "models/user_code.py", "results/notebook.py", "warm/server.py"}


def test_the_fingerprint_imports_nothing_of_what_it_reads():
    script = (
        "import sys; from crosslens.store.fingerprint import closure; closure('crosslens.sae.training');"
        "print([name for name in ('torch', 'numpy', 'zarr') if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path("/")
    )
    assert found.stdout.strip() == "[]"
