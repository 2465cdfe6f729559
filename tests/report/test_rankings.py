"""Rankings and specialists are on the page of every study, with gender and without, and say no more than was tested."""

import pytest
from page_reader import Page
from result_files import arguments, change, summarised, with_files, write_study

from crosslens.report.build import build_report
from crosslens.summary.layer import layer_summary


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
    # categories, found, by chance, p, and the q of so many equal tests, which is p
    assert all(
        [cell[1] for cell in row[3:]] == [["2"], ["2"], ["0.8"], ["0.04"], ["0.04"]] for row in specialists
    )
    each = [row for row in page.tables["specialist"] if row[0][0] in ("nurse", "guard")]
    assert len(each) == 2 * len(cases)
    assert all(row[3][0] == "8 of 11" and row[4][0] == "1 of 29" for row in each)
    found = f"in {len(cases)} of {len(cases)} cases of layer, dictionary and language."
    assert found in page.text and "2 of 2 categories, 0.8 by chance (q = 0.040)" in page.text


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
    page = without_gender()
    for name in ("rankings", "specialists", "specialist"):
        assert page.tables[name] == Page(told_study[2]).tables[name]


def test_what_was_not_tested_is_not_called_null(without_gender):
    untested = {"categories": [], "found": None, "features": [], "why_none": "0 categories"}
    page = without_gender(lambda document: document.update(specialists=untested))
    assert "Not tested, because the samples have fewer than two categories" in page.text
    assert (
        "specialists" not in page.tables and "stand for one category" not in page.text.split("Definitions")[0]
    )


def test_a_null_is_said_plainly(without_gender):
    page = without_gender(lambda document: document["specialists"].update(found=1, found_p=0.6))
    assert "No dictionary has more features that stand for one category than chance gives." in page.text


def test_q_is_corrected_over_all_cases(without_gender):
    """One p of .04 among eleven of 1 is nothing."""
    left = iter([0.04])
    page = without_gender(lambda document: document["specialists"].update(found_p=next(left, 1.0)))
    qs = sorted(float(row[-1][1][0]) for row in page.tables["specialists"][1:])
    assert qs[0] == pytest.approx(0.04 * len(qs)) and "No dictionary has more features" in page.text
