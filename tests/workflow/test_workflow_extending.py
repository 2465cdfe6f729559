"""docs/extending.md, followed to the letter in a copy of the built checkout."""

import re
import shutil
import subprocess
from collections import Counter

import pytest
import storage_page
import yaml
from checkouts import REPOSITORY, TOY, Checkout

from crosslens.tables.documents import read_json, read_table

PAGE = (REPOSITORY / "docs/extending.md").read_text(encoding="utf-8")
BLOCK = re.compile(
    r'^```\w+ title="(\S+)(?: \((append|above (.+?))\))?"\n(.*?)^```$', re.MULTILINE | re.DOTALL
)
MODEL_AND_TESTS = """\
import sys
from pathlib import Path

import pytest
from tiny_families import TEXT_FAMILIES

TEXT_FAMILIES["olmo2"](Path("models/tiny"))
sys.exit(pytest.main(sys.argv[1:]))
"""
"""To load the families takes longer than either."""


def lay(checkout: Checkout) -> None:
    """Write every file of the page, and add what it adds to others."""
    for file, how, line, text in BLOCK.findall(PAGE):
        path = checkout.folder / file
        if not how:
            assert not path.exists(), f"{file} is there already"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif how == "append":
            checkout.append(file, text)
        else:
            checkout.edit(file, f"\n{line}", f"\n{text}{line}")


@pytest.fixture(scope="module")
def extended(built_once, tmp_path_factory):
    """A copy of the built checkout with all that the page adds."""
    checkout = built_once.copy(tmp_path_factory.mktemp("extending") / "checkout")
    (checkout.folder / "docs").mkdir()
    shutil.copy(REPOSITORY / "docs/storage.md", checkout.folder / "docs")
    shutil.copytree(
        REPOSITORY / "tests/models",
        checkout.folder / "tests/models",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copy(REPOSITORY / "tests/world.py", checkout.folder / "tests")
    lay(checkout)
    return checkout


@pytest.fixture(scope="module")
def tested(extended):
    """How the tests of the page ended; models/tiny, a model of its family, is there."""
    script = extended.folder / "model_and_tests.py"
    script.write_text(MODEL_AND_TESTS)
    chosen = ("tests/alignment/test_participation.py", "tests/models/test_adapters.py")
    paths = ":".join(str(extended.folder / name) for name in ("src", "tests", "tests/models"))
    return subprocess.run(
        [extended.python, script, "-q", "-k", "olmo2 or participation", *chosen],
        cwd=extended.folder,
        env=extended.environment | {"PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_what_is_added_reruns_nothing_that_was_there(extended):
    """Of the built study: the new analysis, its figure, and the page that takes them in."""
    new = {"measure_participation": 1, "participation": 1, "participation_figure": 1}
    pages = ("build_report", "page", "write_up", "summary_tables", "link_pages")
    assert extended.planned() == Counter({**new, **dict.fromkeys(pages, 1)})


def test_the_tests_of_the_page_pass(tested):
    assert tested.returncode == 0, tested.stdout


@pytest.mark.usefixtures("tested")
def test_a_study_that_uses_all_of_it_runs_to_its_page(extended, monkeypatch):
    folder = extended.folder
    settings = yaml.safe_load((folder / "config/studies/persian.yaml").read_text(encoding="utf-8"))
    table = (folder / settings["source"]["captions"]).read_text(encoding="utf-8").splitlines()[1:]
    for column, language in enumerate(settings["languages"], 1):
        lines = "".join(row.split(",")[column] + "\n" for row in table)
        (folder / "data" / f"{language}.txt").write_text(lines, encoding="utf-8")
    sae = {"architecture": "tanh", "epochs": 2, "corpora": ["joint"]}
    cheap = {
        "quality": TOY["quality"],
        "features": TOY["features"],
        "gender": settings["gender"]
        | {name: value for name, value in TOY["gender"].items() if name != "grammar_permutations"},
    }
    changed = {
        "model": {"id": "models/tiny"},
        "source": {"lines": "data"},
        "sites": ["1"],
        "sae": sae,
        **cheap,
    }
    extended.configure("added", settings | changed)

    page = "results/added/report/index.html"
    assert extended.work("results/persian/report/index.html")["build_report"] == 1
    extended.snakemake(page)
    assert extended.planned(page) == {}
    shown = (folder / page).read_text(encoding="utf-8")
    assert 'id="participation"' in shown and "Persian (فارسی)" in shown
    results = folder / "results/added"
    genders = read_table(results / "dataset/fa.parquet", "dataset")["gender"].value_counts()
    assert genders.to_dict() == {"female": 12, "male": 12, "unknown": 2}
    found = read_json(results / "alignment/participation/layer_1.json", "participation")
    assert found["languages"] == ["en", "fa"]
    assert all(1 <= of["participation_ratio"] <= found["d_model"] for of in found["of"].values())
    trained = read_json(results / "sae/joint/layer_1/seed_0/training.json", "training")
    assert trained["settings"]["architecture"] == "tanh"
    monkeypatch.setattr(storage_page, "PAGE", folder / "docs/storage.md")
    tables = storage_page.read_page()
    told = storage_page.Document("participation", storage_page.fields(tables, "participation"))
    told.check(found)
    assert told.unseen() == []
    kinds = storage_page.columns(tables, "", "artifact")
    assert {"lines", "participation", "participation_figure"} <= kinds.keys()
