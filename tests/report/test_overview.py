"""The overview of a study holds the numbers of its layers, and committed examples show theirs."""

import re
from pathlib import Path

import pytest
from language_files import write_retrieval, write_transfer
from result_files import write_study

from crosslens.errors import InputError
from crosslens.summary.layer import layer_summary
from crosslens.summary.overview import tables, write_overview
from crosslens.summary.study import study_summary
from crosslens.tables.documents import read_json, write_json

EXAMPLES = sorted((Path(__file__).parents[2] / "resources/examples").glob("*/overview.json"))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """results/{study} of two layers."""
    folder = tmp_path_factory.mktemp("results")
    files = write_study(folder / "in")
    for name in ("layers", "dataset"):
        (folder / name).mkdir()
    conditions = ("caption", "caption_whole")
    for site in ("2", "4"):
        layer = files.layer(site)
        transfer = write_transfer(folder / f"t{site}", site=site, shared=0.5, conditions=conditions)
        retrieval = write_retrieval(folder / f"r{site}", site=site, shared=1)
        layer["files"] |= {"gender_transfer": {"": transfer}, "retrieval": {"": retrieval}}
        layer_summary(**layer, out=folder / f"layers/{site}.json")
    layers = {site: folder / f"layers/{site}.json" for site in ("2", "4")}
    study_summary(layers=layers, level=0.01, out=folder / "summary.json")
    cells = [
        {"split": split, "gender": gender, "category": category, "images": images, "rows": images}
        for split, gender, category, images in (
            ("test", "female", "a", 20),
            ("test", "female", "b", 13),
            ("test", "male", "a", 32),
            ("train", "male", "a", 50),
        )
    ]
    told = {"ar": {"test_images": 65, "test_images_told_in_train": 24}}
    document = {"rows": 200, "images": 115, "counts": cells, "masked": told}
    write_json(folder / "dataset/summary.json", "dataset_summary", document)
    return folder


def test_the_cosines_and_ckas_of_several_pairs_stand_beside_each_other(results):
    def layer(*languages):
        directions = [
            {"condition": "caption", "languages": of, "cosine": 0.1 * i, "p": 0.5, "q": q, "reachable": True}
            for i, (of, q) in enumerate(zip(languages, (None, 0.7), strict=False), 1)
        ]
        cka = [{"read": "caption", "languages": of, "unbiased": 0.2 * i} for i, of in enumerate(languages, 1)]
        empty = dict.fromkeys(("transfer", "retrieval", "words", "probes", "saes", "gender"), [])
        return empty | {"site": "2", "directions": directions, "cka": cka}

    dataset = {"counts": [], "masked": {}}
    document = {
        "level": 0.05,
        "claims": [],
        "dataset": dataset,
        "layers": [layer(["en", "ar"], ["en", "fr"])],
    }
    shown = tables(document)
    assert "| site | masked, English and Arabic | masked, English and fr |" in shown
    assert "| 2 | .10 (p = .500, not corrected) | .20 (q = .700) |" in shown
    assert (
        "| site | CKA, English and Arabic | CKA, English and fr |" in shown and "| 2 | 0.20 | 0.40 |" in shown
    )
    assert "| site | CKA |" in tables(document | {"layers": [layer(["en", "ar"])]})


def test_what_is_told_from_chance_is_corrected_as_on_the_page(results, tmp_path):
    """p of a lone test is nothing to show a claim by: every mark of chance is a q, and the claims stand above."""
    shown = write_overview(results, tmp_path / "overview.json")
    summary = read_json(results / "summary.json", "summary")
    (claim,) = (claim for claim in summary["claims"] if claim["claim"] == "gender transfers")
    assert f"| gender transfers | {claim['holds']} | {claim['tests']} |" in shown
    assert "; level 0.01)" in shown
    assert re.search(r"\(q = \.\d{3}\)", shown) and not re.search(r"\(p = [\d.]+\)", shown)


def test_numbers_are_those_of_the_layers(results, tmp_path):
    shown = write_overview(results, tmp_path / "overview.json")
    document = read_json(tmp_path / "overview.json", "overview")
    assert shown == tables(document)
    assert [layer["site"] for layer in document["layers"]] == ["2", "4"]
    for layer in document["layers"]:
        summary = read_json(results / f"layers/{layer['site']}.json", "layer")
        for kind, records in layer.items():
            if kind != "site":
                assert len(records) == len(summary[kind]) > 0
                for record, told in zip(records, summary[kind], strict=True):
                    own = {name: record[name] for name in record if name not in ("q", "reachable")}
                    assert own.items() <= told.items()


def test_tables_show_them_rounded(results, tmp_path):
    shown = write_overview(results, tmp_path / "overview.json")
    assert "| Arabic | 33 | 32 | 24 of 65 |" in shown
    summary = read_json(results / "layers/4.json", "layer")
    (row,) = (
        row
        for row in summary["transfer"]
        if (row["condition"], row["method"], row["source"], row["target"])
        == ("caption", "logistic", "ar", "en")
    )
    line = next(line for line in shown.split("AUROC**")[1].splitlines() if line.startswith("| 4 |"))
    cell = re.search(r"(\d?\.\d\d) \[(\d?\.\d\d), (\d?\.\d\d)\]", line.split(" | ")[3])
    assert [float(number) for number in cell.groups()] == [
        pytest.approx(row[name], abs=0.0051) for name in ("auroc", "auroc_low", "auroc_high")
    ]


def test_a_folder_without_layers_is_refused(tmp_path):
    with pytest.raises(InputError, match="no summary"):
        write_overview(tmp_path, tmp_path / "overview.json")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_the_tables_of_an_example_are_those_of_its_numbers(path):
    readme = (path.parent / "README.md").read_text(encoding="utf-8")
    document = read_json(path, "overview")
    if "claims" not in document:
        pytest.xfail(
            f"{path.parent.name} was made before 0.2.0: run its study again, and `crosslens overview`"
        )
    told = tables(document).strip()
    assert told in readme, f"paste what `crosslens overview` prints into {path.parent.name}/README.md"
