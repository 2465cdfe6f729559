"""What is asked of a model costs: its answers are found again by the questions and the model, and by nothing else."""

import sys
from pathlib import Path

import pytest
import yaml

from crosslens.artifacts.table import Studies, Table
from crosslens.store.digests import FileDigests
from crosslens.study.study import Study

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
from checkouts import TOY

ROOT = Path(__file__).parents[2]
ENDPOINT = {"url": "http://localhost:1/v1", "model": "m", "key": "A_KEY"}
GENDER = {**TOY["gender"], "permutations": 699}
"""Labels are one claim more."""
PLACE = {"study": "toy", "corpus": "joint", "site": "1"}
ASKED = ("asked_labels", "asked_detections")


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A function to the table of the study `toy` with another endpoint or section `describe`."""
    monkeypatch.chdir(ROOT)
    digests = FileDigests(tmp_path / "files.json")

    def made(endpoint=None, **section):
        described = {"method": "endpoint", "endpoint": {**ENDPOINT, **(endpoint or {})}, **section}
        if described["method"] == "ngrams":
            del described["endpoint"]
        (tmp_path / "toy.yaml").write_text(
            yaml.safe_dump({**TOY, "gender": GENDER, "describe": described}, allow_unicode=True)
        )
        schema = ROOT / "workflow/schemas/study.schema.yaml"
        return Table(Studies(lambda name: Study(name, tmp_path, schema, digests)))

    return made


def keys(table):
    return {kind: table.key(kind, PLACE) for kind in ASKED}


@pytest.mark.parametrize(
    "endpoint", [{"url": "https://other/v1"}, {"key": None}, {"timeout": 3.5}, {"retries": 9}]
)
def test_where_and_how_it_is_asked_is_in_no_key(table, endpoint):
    assert keys(table(endpoint)) == keys(table())


@pytest.mark.parametrize(
    ("change", "labels"),
    [
        ({"model": "n"}, True),
        ({"temperature": 1}, True),
        ({"temperature": None}, True),
        ({"json": False}, True),
        ({"batch": 3}, False),
    ],
)
def test_what_decides_an_answer_is_in_its_key(table, change, labels):
    before, after = keys(table()), keys(table(change))
    assert [before[kind] != after[kind] for kind in ASKED] == [labels, True]


def test_no_code_of_scoring_page_or_pooling_is_in_the_key_of_an_answer(table):
    made = table()
    for kind, own in zip(ASKED, (("labels",), ("detections", "reading")), strict=True):
        code = {name for name in made.code(kind, PLACE).modules if not name.startswith("workflow")}
        packages = {name for name in code if name.count(".") > 1 or name.endswith("registry")}
        assert packages == {
            *(f"crosslens.descriptions.{name}" for name in ("answers", "chat", *own)),
            "crosslens.tables.documents",
        }


def test_by_ngrams_nothing_is_asked(table):
    made = table(method="ngrams")
    assert [made.at({"study": "toy"}).every(kind) for kind in ASKED] == [[], []]
    assert not {"asked_labels", "asked_detections"} & {kind for kind, _ in made.needs("descriptions", PLACE)}


def test_a_job_is_told_the_name_of_the_variable_alone(table, monkeypatch):
    monkeypatch.setenv("A_KEY", "sk-0123")
    told = table().job("ask_endpoint", PLACE)
    assert '"key": "A_KEY"' in told and "sk-0123" not in told
