"""Rankings and specialists are on the page of every study, with gender and without, and say no more than was tested."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from page_reader import Page
from result_files import arguments, change, summarised, with_files, write_study

from crosslens.report.build import build_report
from crosslens.report.links import feature_name
from crosslens.summary.layer import layer_summary
from crosslens.tables.documents import write_json


def page_of(given, folder):
    build_report(**given, out=folder / "index.html")
    return Page((folder / "index.html").read_text(encoding="utf-8"))


def test_they_are_those_of_the_files(told_study):
    files, _, html = told_study
    page = Page(html)
    cases = [(site, key) for site in ("2", "4") for key in files.rankings[site]]
    rankings, specialists = page.tables["rankings"][1:], page.tables["specialists"][1:]
    assert len(rankings) == len(specialists) == len(cases)
    assert all(row[3][0] == "#1 (1.00), #2 (1.00), #3 (1.00)" for row in rankings)
    # categories, found, by chance, p, and q: of so many equal tests p, and twice that as one other claim has a larger p
    assert all(
        [cell[1] for cell in row[3:]] == [["2"], ["2"], ["0.8"], ["0.01"], ["0.02"]] for row in specialists
    )
    each = [row for row in page.tables["specialist"] if row[0][0] in ("nurse", "guard")]
    assert len(each) == 2 * len(cases)
    assert all(row[3][0] == "8 of 11" and row[4][0] == "1 of 29" for row in each)
    found = f"in {len(cases)} of {len(cases)} cases of layer, dictionary and language."
    assert found in page.text and "2 of 2 categories, 0.8 by chance (q = 0.020)" in page.text


def test_pairs_that_fire_together_are_those_of_the_files(told_study):
    files, _, html = told_study
    cases = [key for site in files.rankings.values() for key in site]
    rows = Page(html).tables["coactivation"][1:]
    assert len(rows) == len(cases)
    assert all(
        [cell[0] for cell in row[3:]] == ["Jaccard", "#1 and #3", "0.62", "1.25", "17"] for row in rows
    )


def test_features_lead_to_neuronpedia_where_the_study_says_what_the_sae_is_called_there():
    settings = {"sae": {"neuronpedia": {"gpt2jb": {"8.resid_pre": "gpt2-small/8-res-jb"}}}}
    results = SimpleNamespace(settings=settings, files={})
    link = feature_name(results, "gpt2jb", "8.resid_pre", 1234)
    assert 'href="https://www.neuronpedia.org/gpt2-small/8-res-jb/1234"' in link and ">#1234<" in link
    assert feature_name(results, "joint", "8.resid_pre", 1234) == "#1234"
    assert feature_name(SimpleNamespace(settings={"sae": {}}, files={}), "gpt2jb", "8", 2) == "#2"


def test_features_lead_to_their_own_pages_where_the_study_has_such():
    settings = {"sae": {"neuronpedia": {"gpt2jb": {"8.resid_pre": "gpt2-small/8-res-jb"}}}}
    results = SimpleNamespace(settings=settings, files={"feature_pages": {"": Path("x")}})
    link = feature_name(results, "gpt2jb", "8.resid_pre", 1234)
    assert link == '<a href="features/index.html#/8.resid_pre/gpt2jb/1234">#1234</a>'


def write_concepts(path, features, because=None):
    concept = {"concept": "code", "because": because, "features": features}
    write_json(path, "concepts", {"concepts": [concept, {**concept, "concept": "nothing", "features": []}]})
    return path


def test_concepts_are_those_of_the_files_and_a_null_is_said(tmp_path, told_study):
    """Only what holds after correction is in the first table."""
    files, given, _ = told_study
    row = {"score": 2.5, "share_inside": 0.75, "share_outside": 0.0, "p": 0.001}
    features = [{"feature": 7, "q": 0.01, **row}, {"feature": 9, "q": 0.2, **row}]
    path = write_concepts(tmp_path / "c.json", features)
    page = page_of(with_files(given, concepts={"joint/en/4": path}), tmp_path)
    assert [cell[0] for cell in page.tables["concepts"][1]][3:7] == ["code", "#7", "2.50", "75 %"]
    assert len(page.tables["concepts"]) == 2 and len(page.tables["concept"]) == 3
    path = write_concepts(tmp_path / "c.json", [features[1]])
    page = page_of(with_files(given, concepts={"joint/en/4": path}), tmp_path)
    assert "No feature tells these lists from the rest on test, after correction: code." in page.text
    path = write_concepts(tmp_path / "c.json", [], "1 listed in select")
    page = page_of(with_files(given, concepts={"joint/en/4": path}), tmp_path)
    assert "code: 1 listed in select" in page.text


GENDERED = ("gender", "probe_codes", "probe_activations", "cross_lingual")


@pytest.fixture
def without_gender(tmp_path):
    """A function to the page of the study where nothing of gender was measured, its rankings `spoilt`."""

    def made(spoil=lambda document: None):
        files = write_study(tmp_path / "in")
        for path in (path for site in files.rankings.values() for path in site.values()):
            change(path, "rankings", spoil)
        given = with_files(arguments(files, tmp_path), stereotype=None)
        layers = {}
        for site in files.quality:
            layer = files.layer(site)
            layer["files"] = {name: some for name, some in layer["files"].items() if name not in GENDERED}
            layers[site] = tmp_path / f"{site}.json"
            layer_summary(**layer, out=layers[site])
        return page_of(with_files(given, summary=summarised(tmp_path, layers)), tmp_path)

    return made


def test_a_study_without_gender_has_them_too(without_gender, told_study):
    page, told = without_gender(), Page(told_study[2])
    for name in ("rankings", "specialist"):
        assert page.tables[name] == told.tables[name]
    *shown, q = zip(*page.tables["specialists"], strict=True)
    *expected, _ = zip(*told.tables["specialists"], strict=True)
    # the one claim of its study is corrected for no other
    assert shown == expected and [cell[0] for cell in q[1:]] == ["0.010"] * len(q[1:])


def test_what_was_not_tested_is_not_called_null(without_gender):
    untested = {"categories": [], "found": None, "features": [], "why_none": "0 categories"}
    page = without_gender(lambda document: document.update(specialists=untested))
    assert "Not tested, because the samples have fewer than two categories" in page.text
    assert (
        "specialists" not in page.tables and "stand for one category" not in page.text.split("Definitions")[0]
    )


def test_a_null_is_said_plainly(without_gender):
    page = without_gender(lambda document: document["specialists"].update(found=1, found_p=0.6))
    assert "No dictionary has features that stand for one category beyond chance." in page.text


def test_q_is_corrected_over_all_cases(without_gender):
    """One p of .04 among eleven of 1 is nothing."""
    left = iter([0.04])
    page = without_gender(lambda document: document["specialists"].update(found_p=next(left, 1.0)))
    qs = sorted(float(row[-1][1][0]) for row in page.tables["specialists"][1:])
    assert qs[0] == pytest.approx(0.04 * len(qs)) and "No dictionary has features that stand" in page.text
