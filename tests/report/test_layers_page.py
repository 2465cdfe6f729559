"""Layers side by side: what the page of layers is told is what the records and the tables of features say."""

from pathlib import Path

import pytest
from explored_study import DEEPER, FEATURES, NURSE, SITE
from language_files import write_retrieval, write_transfer

from crosslens.explorer.page.compared import TABLES, gates, models, tables
from crosslens.summary.layer import layer_summary
from crosslens.summary.reading import Document
from crosslens.summary.study import study_summary
from crosslens.tables.documents import write_json


@pytest.fixture(scope="module")
def told(explored):
    return explored.data("layers")


def test_tables_hold_the_records_of_the_summary(told_study, tmp_path):
    """Every record is a row, with its exact numbers; what could not be claimed is called not tested."""
    layer = told_study[0].layer("2")
    transfer = write_transfer(tmp_path / "t.json", site="2", shared=0.9)
    layer["files"] |= {"gender_transfer": {"": transfer}}
    layer["files"] |= {
        "retrieval": {"": write_retrieval(tmp_path / "r.json", site="2", shared=1.0, alone=0.5)}
    }
    layer_summary(**layer, out=tmp_path / "2.json")
    study_summary(layers={"2": tmp_path / "2.json"}, level=0.05, out=tmp_path / "summary.json")
    summary = Document(tmp_path / "summary.json", "summary")
    found = {table["name"]: table for table in tables(summary)}
    assert {
        "quality",
        "gender",
        "probes",
        "transfer",
        "cross_lingual",
        "retrieval",
        "rankings",
    } <= found.keys()
    records = summary("records")
    for table in TABLES:
        own = [record for record in records.get(table.records, []) if table.keep(record)]
        assert len(own) == len(found.get(table.name, {"rows": []})["rows"])
    gender = found["gender"]
    keys = ["site", *(column["key"] for column in gender["columns"])]
    for row, record in zip(gender["rows"], records["gender"], strict=True):
        cells = dict(zip(keys, row, strict=True))
        assert (cells["site"], cells["condition"]) == (record["site"], record["condition"])
        assert (cells["significant"], cells["confirmed"]) == (record["significant"], record["confirmed"])
        assert cells["mean"] == record["null"]["mean"]
        assert cells["q"] == (
            record["q"] if record["q"] is not None and record["reachable"] else "not tested"
        )
    probes = found["probes"]
    at = [column["key"] for column in probes["columns"]].index("auroc") + 1
    assert [row[at] for row in probes["rows"]] == [
        [record[name] for name in ("auroc", "auroc_low", "auroc_high")] for record in records["probes"]
    ]


def test_an_sae_passes_where_every_gate_is_defined_and_passed():
    known = {True: "fine", False: "fails", None: "too few texts"}

    def words(*passed: bool | None) -> str:
        return gates({"gates": [{"passed": of, "says": known[of]} for of in passed]})

    assert words(True, True) == "passed"
    assert words(True, False, None) == "fails; undefined: too few texts"
    assert words(True, None) == "undefined: too few texts"


def test_counts_are_those_of_the_effects_and_lead_to_the_features(told, explored):
    counted = next(each for each in told["maps"] if "joint" in each["title"])
    assert counted["sites"] == [SITE, DEEPER]
    cells = dict(counted["rows"])
    assert all(row[1] is None for row in cells.values()), "no SAE there"
    test = explored.effects["en"].query("split == 'test' and significant and live")
    female = cells["stronger for female in English, caption"][0]
    assert female[0] == (test["z"] > 0).sum()
    assert female[2] == f"#/?corpus=joint&site={SITE}&condition=caption&gender=female&where=en"
    assert cells["stronger for male in English, caption"][0][0] == (test["z"] < 0).sum()
    select = explored.effects["en"].query("split == 'select' and significant")
    both = set(test.loc[test["z"] > 0, "feature"]) & set(select.loc[select["z"] > 0, "feature"])
    assert cells["stronger for female in English, caption, on select too"][0][0] == len(both)
    assert (cells["live"][0][0], cells["dead"][0][0]) == (FEATURES - 1, 1)
    alive = {language: (codes > 0).any(axis=0) for language, codes in explored.codes.items()}
    assert cells["fire in English alone"][0][0] == (alive["en"] & ~alive["ar"]).sum()
    assert cells["shared by English and Arabic"][0][0] == FEATURES // 2 - 1, "the dead one is not counted"


def test_categories_lead_to_their_features(told):
    (categories,) = [each for each in told["maps"] if each["title"].startswith("Categories")]
    assert categories["most"] == 1
    assert categories["rows"] == [["<i>nurse</i>", [[7 / 9, f"#{NURSE} ●", f"#/{SITE}/joint/{NURSE}"], None]]]


def test_other_models_are_compared_where_the_study_asks(tmp_path: Path):
    """Whichever of the two is named first; what is within one study is left out."""
    folder = tmp_path / "en"
    folder.mkdir()
    pair = {"linear_cka": 0.9, "unbiased_null_max": 0.1, "unbiased_p": 0.02}
    pairs = [
        pair | {"model_a": "own", "site_a": "2", "model_b": "other", "site_b": "7", "unbiased_cka": 0.6},
        pair | {"model_a": "other", "site_a": "8", "model_b": "own", "site_b": "3", "unbiased_cka": 0.5},
        pair | {"model_a": "own", "site_a": "2", "model_b": "own", "site_b": "3", "unbiased_cka": 0.7},
        pair | {"model_a": "other", "site_a": "7", "model_b": "other", "site_b": "8", "unbiased_cka": 0.8},
    ]
    write_json(folder / "comparison.json", "model_comparison", {"pairs": pairs})
    (table,) = models({"other/en": folder})
    assert table["rows"] == [
        ["2", "other", "English", "7", 0.6, 0.1, 0.02],
        ["3", "other", "English", "8", 0.5, 0.1, 0.02],
    ]
    assert models({}) == []
