"""What the page says of gendered features in other views: shares beside chance, features with their seeds, one seed as that."""

from types import SimpleNamespace

from page_reader import Page
from result_files import arguments, change, write_study
from stand_in import StandIn

from crosslens.report.build import build_report
from crosslens.report.robust import readings_words, seeds_words
from crosslens.report.sections import robustness
from crosslens.report.sections.robustness import robustness_finding
from crosslens.report.sparse import in_words
from crosslens.summary.names import ONE_SEED
from crosslens.summary.records.gender_robustness import named_records, robustness_records
from crosslens.tables.documents import read_json


def record(view, kind, gendered, kept, chance):
    return {
        "view": view,
        "kind": kind,
        "gendered": gendered,
        "kept": kept,
        "testable": kept + 2,
        "share": kept / gendered,
        "chance": chance,
    }


def test_the_finding_weighs_shares_and_chance_by_the_features():
    """30 of 40 of one language and 2 of 10 of the other: 64 %; by chance .1 and .5 of them: 18 %."""
    seeds = [record("seed_1", "seed", 40, 30, 0.1), record("seed_1", "seed", 10, 2, 0.5)]
    found = robustness_finding([record("max", "reading", 40, 40, 0.2), *seeds], "texts")
    assert found.kind == "description"
    assert "40 of 42 by the strongest token instead of the mean; 32 of 36 in another seed" in found.title
    assert (
        "In another seed: 64 % of all 50, of which 36 fire often enough there to be tested; 18 % were features as frequent "
        "drawn at random." in found.lines
    )
    assert ONE_SEED not in found.lines


def test_what_could_not_be_tested_there_is_not_called_lost():
    """By the last token alone few features fire at all: that none of them is gendered says nothing."""
    last = record("last", "reading", 20, 0, 0.0) | {"testable": 0}
    found = robustness_finding([record("max", "reading", 20, 18, 0.1), last], "texts")
    none = "by the last token instead of the mean not tested, because none of 20 fires often enough there"
    assert found.kind == "description" and none in found.title and " 0 %" not in str(found)
    places = {
        "site": "2",
        "corpus": "joint",
        "language": "en",
        "condition": "prompt",
        "gendered_there": 0,
        "live": 40,
    }
    last |= places | {"chance_q95": 0.0, "cosine": None}
    section = robustness.section(StandIn({"robustness": [last]}))
    assert "not tested" in str(section.body[1]) and ">0 %" not in str(section.body[1]).split("not tested")[0]
    alone = robustness_finding([last], "texts")
    assert alone.kind == "warning" and none in alone.title
    named = {"seeds": 2, "seeds_tested": 1, "seeds_kept": 1, "max": True, "last": None}
    assert (
        readings_words(named) == "gendered by the strongest token, not tested (fires too rarely) by the last"
    )
    assert seeds_words(named) == "gendered in 1 of 2 other seeds (in 1 too rare to be tested)"


def test_one_seed_is_said_and_no_feature_is_a_null():
    found = robustness_finding([record("max", "reading", 40, 40, 0.2)], "texts")
    assert ONE_SEED in found.lines and "seed" not in found.title
    none = record("max", "reading", 1, 0, 0.0) | {"gendered": 0, "share": None, "chance": None}
    found = robustness_finding([none], "texts")
    assert found.kind == "null" and "no gendered feature" in found.title and found.lines == [ONE_SEED]
    assert robustness.section(SimpleNamespace(records=lambda name: [])) is None


def test_a_feature_is_named_with_its_seeds():
    named = {"seeds": 2, "seeds_tested": 2, "seeds_kept": 1, "max": True, "last": False}
    assert seeds_words(named) == "gendered in 1 of 2 other seeds"
    assert seeds_words(named | {"seeds": 1, "seeds_tested": 1}) == "gendered in 1 of 1 other seed"
    assert seeds_words(named | {"seeds": 0, "seeds_kept": 0}) == "one seed: not known of others"
    assert readings_words(named) == "gendered by the strongest token, not gendered by the last"


def test_the_page_has_the_shares_of_the_files_and_names_features_with_them(told_study):
    files, _, html = told_study
    page = Page(html)
    expected = [
        (of["share"], of["chance"], of["chance_q95"])
        for site in ("2", "4")
        for of in robustness_records(files.robustness[site])
        if of["gendered"]
    ]
    rows = page.tables["robustness"][1:]
    found = [tuple(float(value) for cell in row[10:12] for value in cell[1]) for row in rows]
    assert found == expected and len(rows) > 20
    named = named_records(files.robustness["2"])[0]
    assert (named["seeds"], named["seeds_kept"], named["max"], named["last"]) == (1, 1, True, False)
    assert (
        "gendered by the strongest token, not gendered by the last, gendered in 1 of 1 other seed"
        in page.text
    )
    assert "one seed: not known of others" in page.text  # of the languages' own SAEs
    assert ONE_SEED not in page.text


def test_the_page_has_the_sparse_probes_of_the_files(told_study):
    files, _, html = told_study
    rows = [row for row in Page(html).tables["sparse"][1:] if row[0][0] == "block 2"]
    for condition in ("prompt", "caption"):
        told = read_json(files.probes["2"]["activations/ar"], "probe")["conditions"][condition]
        (row,) = [
            row
            for row in rows
            if [cell[0] for cell in row[1:4]] == ["Arabic (العربية)", condition, "raw activations"]
        ]
        shown = [float(cell[1][0]) for cell in row[4:9]]
        assert shown == [*(of["auroc"]["value"] for of in told["sparse"]), told["auroc"]["value"]]


def test_medians_over_cases_are_told_of_features_and_channels():
    rows = [
        {"corpus": corpus, "auroc": whole, "auroc_1": one}
        for corpus, whole, one in (("joint", 0.9, 0.8), ("joint", 1.0, 0.6), ("activations", 0.95, 0.55))
    ]
    words = in_words(rows, [1])
    assert "2 cases by the best SAE features: 0.70 of 1, 0.95 of all" in words
    assert "1 case by the best channels of the raw activations: 0.55 of 1, 0.95 of all" in words
    assert "part of no claim" in words


def test_a_page_of_one_seed_says_so(tmp_path):
    files = write_study(tmp_path / "in", sites=("2",))

    def alone(document):
        for condition in document["conditions"].values():
            condition["views"] = [view for view in condition["views"] if view["kind"] != "seed"]
            for one in condition["named"]:
                one["views"] = [view for view in one["views"] if view["kind"] != "seed"]

    for path in files.robustness["2"].values():
        change(path, "gender_robustness", alone)
    build_report(**arguments(files, tmp_path), out=tmp_path / "index.html")
    text = Page((tmp_path / "index.html").read_text(encoding="utf-8")).text
    assert text.count(ONE_SEED) == 2 and "of 1 other seed" not in text
