"""Data that can be used, but not for all that it looks like: each case through the stage, into the log, onto the page."""

import logging

import numpy as np
import pytest
from data_tables import HEADER, UNLABELLED, build, people, write_csv
from scipy.stats import permutation_test

from crosslens.data.warnings import smallest_p

WORDS = {"female": ("a woman", "امرأة"), "male": ("a man", "رجل")}


def rows_of(genders, *, english=None, arabic=None):
    """One row a picture of each gender in turn; english, arabic: number → caption, by default with a word that tells."""
    rows = []
    for i, gender in enumerate(genders):
        en, ar = WORDS[gender]
        rows.append(
            [f"p{i}", (english or f"{en} {{}}".format)(i), (arabic or f"{ar} {{}}".format)(i), gender, ""]
        )
    return rows


@pytest.fixture
def warned(tmp_path, caplog):
    """Rows → code → message of the summary's warnings, each of which is in the log."""

    def run(rows, header=HEADER, **changes):
        with caplog.at_level(logging.WARNING, logger="crosslens"):
            _, summary = build(
                tmp_path / "out", write_csv(tmp_path / "captions.csv", rows, header), **changes
            )
        logged = [record.getMessage() for record in caplog.records]
        assert all(warning["message"] in logged for warning in summary["warnings"])
        assert len({warning["code"] for warning in summary["warnings"]}) == len(summary["warnings"])
        return {warning["code"]: warning for warning in summary["warnings"]}

    return run


def test_sound_data_have_none(warned):
    assert warned(people(180)) == {}


def test_one_gender(warned):
    found = warned(rows_of(["female"] * 100))
    assert (
        list(found) == ["one_gender"]
        and "All 100 texts of known gender are female" in found["one_gender"]["message"]
    )


def test_no_gender_at_all(warned):
    rows = [[*row[:3], "unknown", ""] for row in rows_of(["female"] * 60)]
    assert list(warned(rows)) == ["no_gender"]


@pytest.mark.parametrize(("images", "female", "male"), [(30, 3, 3), (60, 6, 6)])
def test_a_small_test_split_is_told_with_its_numbers_and_the_smallest_p(warned, images, female, male):
    """As scipy finds it, where all of one gender have more than any of the other."""
    (message,) = [w["message"] for w in warned(rows_of(["female", "male"] * (images // 2))).values()]
    assert f"{female} female and {male} male texts" in message
    x, y = np.arange(female) + 100.0, np.arange(male) * 1.0
    exact = permutation_test(
        (x, y), lambda a, b, axis: a.mean(axis) - b.mean(axis), n_resamples=np.inf
    ).pvalue
    assert (
        f"smallest p that a test can give is {exact:.2g}: no test finds anything at a level below" in message
    )
    assert "0.05" not in message  # the level is the study's, and not known here


def test_what_counts_by_itself_is_a_group(warned):
    """Sixty pictures of ten people are ten; of pairs labels are exchanged within."""
    rows = [[*row, f"person {i % 10}"] for i, row in enumerate(rows_of(["female", "male"] * 30))]
    found = warned(rows, (*HEADER, "group"))
    assert (
        "1 female and 1 male" in found["small_test"]["message"]
        and "p that a test can give is 1:" in found["small_test"]["message"]
    )
    paired = [[*row, f"scene {i // 2}"] for i, row in enumerate(rows_of(["female", "male"] * 20))]
    found = warned(paired, (*HEADER, "group"))
    exact = permutation_test(
        (np.arange(4) + 1.0, np.zeros(4)),
        lambda a, b, axis: (a - b).mean(axis),
        permutation_type="samples",
        n_resamples=np.inf,
    ).pvalue
    assert (
        f"4 female and 4 male texts in pairs that count by themselves: the smallest p that a test can give is {exact:.2g}"
        in (found["small_test"]["message"])
    )


def test_smallest_p():
    assert smallest_p(0, 5) == 1 and smallest_p(3, 3) == 0.1 and smallest_p(0, 0) == 1
    assert smallest_p(10, 10) == pytest.approx(1.0825e-5, rel=1e-3) and smallest_p(6, 6, pairs=6) == 2**-5


def test_languages_that_are_one_text(warned):
    found = warned(rows_of(["female", "male"] * 60, arabic=lambda i: f"a {('woman', 'man')[i % 2]} {i}"))
    told = found["identical_languages"]
    assert "the same text in 120 of 120 rows" in told["message"] and told["languages"] == ["en", "ar"]
    assert "no_hits" in found


def test_columns_that_have_changed_places_are_told_by_their_letters(warned):
    """As captions without a lexicon are taken for what their column says."""
    rows = [[row[0], row[2], row[1], *row[3:]] for row in rows_of(["female", "male"] * 60)]
    assert "120 of 120 texts in Arabic" in warned(rows, lexicons={})["other_letters"]["message"]
    assert "other_letters" not in warned(rows_of(["female", "male"] * 60), lexicons={})


def test_a_copy_in_other_capitals_or_with_marks_that_are_not_seen_is_one(warned):
    copies = ["A CAF\u00c9 {}", "a cafe\u0301 {}", "\u200ea  caf\u00e9\n{}\u200f\u3164", "a caf\u00e9 {} ."]
    rows = [
        [
            f"p{i}",
            f"a caf\u00e9 man {i}",
            copies[i % 4].format(f"man {i}"),
            ("female", "male")[i // 4 % 2],
            "",
        ]
        for i in range(120)
    ]
    assert "the same text in 90 of 120 rows" in warned(rows)["identical_languages"]["message"]


def test_three_languages_are_named_pair_by_pair(tmp_path):
    header = ("image_id", "en_caption", "ar_caption", "fa_caption", "ground_truth_gender")
    rows = [[row[0], row[1], row[1], f"{row[1]} فا", row[3]] for row in rows_of(["female", "male"] * 60)]
    rows = [[*row[:3], row[1] if i % 2 else row[3], row[4]] for i, row in enumerate(rows)]
    _, summary = build(
        tmp_path / "out",
        write_csv(tmp_path / "captions.csv", rows, header),
        languages=("en", "ar", "fa"),
        prompts={"en": "", "ar": "", "fa": ""},
        lexicons={},
    )
    copied = [warning for warning in summary["warnings"] if warning["code"] == "identical_languages"]
    assert [warning["languages"] for warning in copied] == [["en", "ar"], ["en", "fa"], ["ar", "fa"]]
    assert ["120 of 120" in warning["message"] for warning in copied] == [True, False, False]


def test_a_lexicon_without_a_hit(warned):
    found = warned(rows_of(["female", "male"] * 60, english=lambda i: f"someone {i}"))
    assert list(found) == ["no_hits"] and found["no_hits"]["languages"] == ["en"]
    assert "no word of its 120 captions: no label word is masked there" in found["no_hits"]["message"]


def test_no_lexicon(warned):
    assert list(warned(rows_of(["female", "male"] * 60), lexicons={})) == ["no_lexicon"]


def test_captions_that_are_all_the_same(warned):
    found = warned(rows_of(["female", "male"] * 60, english=lambda i: "a person"))
    assert found.keys() == {"equal_captions", "no_hits"} and found["equal_captions"]["languages"] == ["en"]


def test_what_tables_write_where_there_is_no_text(warned):
    """As it was written; whole captions alone, and a caption of three dots in the middle of a text is one."""
    told = {3: "nan", 4: "NaN", 50: "N/A", 70: "...", 80: " null ", 90: "—", 91: "a woman ... and nan"}
    rows = people(180)
    for i, text in told.items():
        rows[i][1] = text
    found = warned(rows)["placeholders"]
    assert found["languages"] == ["en"]
    assert found["message"].startswith(
        "6 texts in English are '...', 'N/A', 'NaN', 'nan', 'null', '—' (of the rows"
    )
    assert ": 4, 5, 51, 71, 81, …)" in found["message"]


def test_where_no_gender_is_asked_for_only_the_size_of_test_counts(warned):
    rows = [[*row[:3], row[4]] for row in rows_of(["female"] * 20)]
    found = warned(rows, UNLABELLED, gender=False, lexicons={})
    assert list(found) == ["small_test"] and "The test split has 4 texts" in found["small_test"]["message"]
