"""Labels on the page: what is no better than chance is called so, and stands beside no id."""

import pytest
from page_reader import Page
from result_files import arguments, summarised, with_files, write_study

from crosslens.report.build import build_report
from crosslens.summary.layer import layer_summary
from crosslens.tables.documents import read_json, write_json

HOSTILE = "<b>cat</b>"
GOOD = {"accuracy": {"value": 0.95, "low": 0.84, "high": 0.99}, "sensitivity": 0.9, "specificity": 1.0}
GOOD |= {"p": 1e-6, "shuffled": 0.52, "shuffled_over": 3, "because": None, "pairs": 20, "unanswered": 0}
CHANCE = GOOD | {"accuracy": {"value": 0.55, "low": 0.4, "high": 0.69}, "p": 0.4}
OTHERS = GOOD | {"shuffled": 0.9}
NONE = dict.fromkeys(("accuracy", "sensitivity", "specificity", "p", "shuffled"))
NONE |= {"pairs": 0, "unanswered": 0, "shuffled_over": 0, "because": "no words set its texts apart"}


def row(feature, language, method, label, score):
    place = {"feature": feature, "language": language, "method": method, "label": label}
    return place | score | {"named": [f"composite, {language}"], "fires_in": {"texts": 60, "firing": 25}}


ROWS = [
    row(1, "en", "ngrams", "cat", GOOD),
    row(2, "en", "ngrams", "bad", CHANCE),
    row(3, "en", "ngrams", None, NONE),
    row(1, "ar", "ngrams", "قطة", OTHERS),
    row(1, "en", "endpoint", HOSTILE, CHANCE),
    row(2, "en", "endpoint", HOSTILE, GOOD),
]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A function to the page of a study with these rows at its second layer's joint SAE."""
    folder = tmp_path_factory.mktemp("described")
    files = write_study(folder / "in")
    given = arguments(files, folder)

    def page(rows, asked=None):
        path = folder / "descriptions.json"
        header = {"corpus": "joint", "site": "4", "sae": "digest-joint-4", "languages": ["en", "ar"]}
        write_json(path, "descriptions", header | {"endpoint": asked, "rows": rows})
        layer = files.layer("4")
        layer["files"]["descriptions"] = {"joint": path}
        layer_summary(**layer, out=folder / "4.json")
        summary = summarised(folder, {site: folder / f"{site}.json" for site in ("2", "4")})
        shown = with_files(given, descriptions={"joint/4": path}, summary=summary)
        build_report(**shown, out=folder / "index.html")
        html = (folder / "index.html").read_text(encoding="utf-8")
        return Page(html), html, read_json(folder / "summary.json", "summary")

    return page


def test_each_label_is_called_what_it_is_worth(study):
    asked = {"model": "m", "answered_by": ["m-2025"], "prompts": 12, "unanswered": 3}
    page, html, summary = study(ROWS, asked)
    verdicts = [line[-1][0] for line in page.tables["labels"][1:]]
    assert verdicts == [
        "where it fires",
        "no better than chance",
        "not tested, because no words set its texts apart",
        "no more than of other features",
        "no better than chance",
        "where it fires",
    ]
    counts = {
        (line[2][0], line[3][0]): [cell[0] for cell in line[4:8]] for line in page.tables["descriptions"][1:]
    }
    assert counts == {
        ("n-grams", "English"): ["3", "2", "2", "1"],
        ("n-grams", "Arabic (العربية)"): ["1", "1", "1", "0"],
        ("model", "English"): ["2", "2", "2", "1"],
    }
    assert (
        "Labels by n-grams tell where their feature fires in 1 of 3 cases that could be tested." in page.text
    )
    assert "1 of 2 in English; 0 of 1 in Arabic" in page.text and "1 of 4 were not tested" in page.text
    assert "12 questions, 3 without an answer" in page.text and "signed m-2025" in page.text
    assert "<b>cat" not in html and HOSTILE in page.text
    (claim,) = [one for one in summary["claims"] if one["records"] == "descriptions"]
    assert (claim["tests"], claim["holds"]) == (5, 2)
    assert ("span", "lang", "ar") in page.attributes and ("span", "dir", "rtl") in page.attributes


def test_labels_that_tell_stand_beside_ids_and_no_others(study):
    page, _, _ = study(ROWS)
    shown = {(line[0][0], line[1][0], line[2][0]): line[3][0] for line in page.tables["rankings"][1:]}
    assert shown["block 4", "joint SAE", "English"] == f"#1 “cat” (1.00), #2 “{HOSTILE}” (1.00), #3 (1.00)"
    del shown["block 4", "joint SAE", "English"]
    assert set(shown.values()) == {"#1 (1.00), #2 (1.00), #3 (1.00)"}


def test_a_null_is_said_plainly_and_what_was_not_tested_is_none(study):
    page, _, _ = study([ROWS[1], ROWS[2]])
    assert "Labels by n-grams: none tells where its own feature fires." in page.text
    page, _, _ = study([ROWS[2]])
    assert "Labels by n-grams were not tested." in page.text
    assert "none tells" not in page.text


def test_q_is_corrected_over_all_labels(study):
    """One p of .03 among twenty of 1 is nothing."""
    weak = row(1, "en", "ngrams", "cat", GOOD | {"p": 0.03})
    page, _, _ = study([weak, *(row(i, "en", "ngrams", "x", CHANCE | {"p": 1.0}) for i in range(2, 22))])
    assert "none tells where its own feature fires" in page.text
