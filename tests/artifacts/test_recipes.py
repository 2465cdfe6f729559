from dataclasses import replace
from types import SimpleNamespace

import pytest

from crosslens.artifacts import recipes as module
from crosslens.artifacts.kinds import Kind
from crosslens.artifacts.recipes import Recipes


@pytest.fixture
def code(monkeypatch):
    """Digest of the code of every stage, to be changed at will."""
    modules = {"extract": "1", "train": "1", "plot": "1"}
    monkeypatch.setattr(
        module,
        "closure",
        lambda name, members, script: SimpleNamespace(modules={name: modules[name]}, versions={"torch": "2"}),
    )
    return modules


def declared(*kinds):
    """Their recipes, asked with plain wildcards."""
    return Recipes(kinds, at=lambda wildcards: wildcards)


def chain(settings, rows=("row",)):
    """activations -> sae -> plot, each with its own settings."""
    return declared(
        Kind(
            "activations",
            "results/{study}/activations/{site}",
            by="extract",
            module="extract",
            params=lambda w: {"batch": settings["batch"], "site": w["site"]},
            reads=lambda w: [("dataset", {"rows": rows})],
        ),
        Kind(
            "sae",
            "results/{study}/sae/{site}",
            by="train_saes",
            module="train",
            params=lambda w: {"k": settings["k"]},
            needs=lambda w: [("activations", w)],
            files={"weights": "", "cfg.json": ""},
        ),
        Kind(
            "plot",
            "results/{study}/plot/{site}.png",
            by="plot",
            module="plot",
            params=lambda w: {"dpi": settings["dpi"]},
            needs=lambda w: [("sae", w)],
        ),
    )


def keys(settings, site="4", **more):
    recipes = chain(settings, **more)
    return {name: recipes.key(name, {"study": "s", "site": site}) for name in recipes.kinds}


BASE = {"batch": 8, "k": 16, "dpi": 100}


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({"batch": 9}, {"activations", "sae", "plot"}),
        ({"k": 17}, {"sae", "plot"}),
        ({"dpi": 200}, {"plot"}),
        ({"unused": 1}, set()),
    ],
)
def test_a_parameter_changes_its_stage_and_what_follows(code, change, changed):
    before, after = keys(BASE), keys(BASE | change)
    assert {name for name in before if before[name] != after[name]} == changed


@pytest.mark.parametrize(
    ("stage", "changed"),
    [("extract", {"activations", "sae", "plot"}), ("train", {"sae", "plot"}), ("plot", {"plot"})],
)
def test_code_changes_its_stage_and_what_follows(code, stage, changed):
    before = keys(BASE)
    code[stage] = "2"
    after = keys(BASE)
    assert {name for name in before if before[name] != after[name]} == changed


def test_what_a_job_only_reads_changes_no_key(code):
    assert keys(BASE) == keys(BASE, rows=("row", "another row"))


def test_a_version_that_decides_numbers_changes_the_key(code, monkeypatch):
    before = keys(BASE)
    monkeypatch.setattr(
        module,
        "closure",
        lambda name, members, script: SimpleNamespace(modules={name: "1"}, versions={"torch": "3"}),
    )
    assert not before.items() & keys(BASE).items()


def test_a_wildcard_changes_a_key_only_through_the_parameters(code):
    assert keys(BASE, site="4") != keys(BASE, site="5")
    recipes = chain(BASE)
    assert recipes.own("sae", {"study": "s", "site": "4"}) == recipes.own("sae", {"study": "s", "site": "5"})


def test_two_kinds_of_the_same_code_and_parameters_have_different_keys(code):
    recipes = declared(
        *(Kind(name, name, by="extract", module="extract") for name in ("tokens", "activations"))
    )
    assert recipes.key("tokens", {}) != recipes.key("activations", {})


def test_the_order_of_inputs_counts(code):
    def both(order):
        one, two = (
            Kind(name, name, by="extract", module="extract", params=lambda w, batch=batch: batch)
            for name, batch in (("a", 1), ("b", 2))
        )
        needs = [(name, {}) for name in order]
        both = Kind("both", "both", by="train", module="train", needs=lambda w: needs)
        return declared(one, two, both).key("both", {})

    assert both("ab") != both("ba")


def test_a_kind_is_declared_once(code):
    sae = chain(BASE).kinds["sae"]
    with pytest.raises(ValueError, match="declared twice"):
        declared(sae, sae)


def test_a_recipe_says_how_the_artifact_is_made_and_where_it_is_shown(code):
    recipes, w = chain(BASE), {"study": "s", "site": "4"}
    found = recipes.describe("sae", w)
    assert (found["path"], found["params"], found["modules"]) == (
        "results/s/sae/4",
        {"k": 16},
        {"train": "1"},
    )
    assert found["key"] == recipes.key("sae", w)
    assert recipes.kinds["sae"].paths(w) == ["results/s/sae/4/weights", "results/s/sae/4/cfg.json"]
    assert recipes.kinds["plot"].paths(w) == ["results/s/plot/4.png"]


def test_a_picture_is_there_in_further_formats_and_with_its_numbers():
    files = {"a.png": "words", "b.png": "", "page.html": "words", "c.json": ""}
    kind = Kind("drawn", "results/{study}/figures", by="draw", module="m", files=files)
    beside = {f"a.{suffix}" for suffix in ("svg", "pdf", "csv")}
    assert kind.files.keys() == {*files, *beside} and not any(kind.files[file] for file in beside)
    assert set(kind.paths({"study": "s"})) == {f"results/s/figures/{file}" for file in kind.files}
    assert replace(kind, name="again").files == kind.files
