"""The dataset stage: the same samples in every language, honest labels, and a summary that adds up."""

import json
import sys
from collections import Counter

import numpy as np
import pytest
from data_tables import HEADER, LEXICONS, UNLABELLED, build, people, write_csv, write_image
from sklearn.metrics import cohen_kappa_score

from crosslens.data.agreement import cohen_kappa
from crosslens.data.masked import masked_words, told_in_train
from crosslens.errors import InputError
from crosslens.planted.source import draw_source

COLUMNS = [
    "sample_id",
    "image_id",
    "row",
    "caption",
    "prompt",
    "gender",
    "gender_source",
    "category",
    "image",
    "image_sha256",
    "split",
    "group",
    "label_spans",
]
SHARED = [name for name in COLUMNS if name not in ("caption", "prompt", "label_spans")]


@pytest.fixture
def table(tmp_path):
    def write(rows, header=HEADER):
        return write_csv(tmp_path / "captions.csv", rows, header)

    return write


def test_both_languages_have_the_same_samples_in_the_order_of_the_source(tmp_path, table):
    tables, summary = build(tmp_path / "out", table(people(30, captions=5)))
    en, ar = tables["en"], tables["ar"]
    assert list(en.columns) == list(ar.columns) == COLUMNS
    assert en[SHARED].equals(ar[SHARED])
    assert en["row"].tolist() == list(range(1, 151)) and en["row"].dtype == "int64"
    assert en["sample_id"].tolist()[:6] == [*(f"img_00000#{k}" for k in range(5)), "img_00001#0"]
    assert set(en["gender_source"]) == {"column"} and set(en["image"]) == set(en["image_sha256"]) == {""}
    assert set(ar["prompt"]) == {"صف الصورة."} and ar["caption"][0] == "امرأة في الصورة 0.0"
    assert summary["rows"] == 150 and summary["images"] == 30 and summary["quarantine"] == []


def test_no_image_is_in_two_splits_and_the_counts_say_what_is_in_the_tables(tmp_path, table):
    tables, summary = build(tmp_path / "out", table(people(60, captions=5)))
    en = tables["en"]
    assert (en.groupby("image_id")["split"].nunique() == 1).all()
    for cell in summary["counts"]:
        found = en[
            (en["split"] == cell["split"])
            & (en["gender"] == cell["gender"])
            & (en["category"] == cell["category"])
        ]
        assert cell["rows"] == len(found) and cell["images"] == found["image_id"].nunique()
    assert sum(cell["images"] for cell in summary["counts"]) == 60
    assert {cell["images"] for cell in summary["counts"] if cell["split"] == "train"} == {6}


def test_label_spans_are_the_gendered_words_of_the_caption(tmp_path, table):
    tables, _ = build(tmp_path / "out", table(people(30)))
    for language, female in (("en", "woman"), ("ar", "امرأة")):
        row = tables[language].iloc[0]
        assert [row["caption"][s:e] for s, e in json.loads(row["label_spans"])] == [female]
        assert tables[language].iloc[2]["label_spans"] == "[]"


def test_test_images_of_which_masking_leaves_what_train_has_are_counted():
    rows = [
        ("", "a", "female", "train"),
        ("in blue", "a", "female", "train"),
        ("in green", "b", "unknown", "train"),
        ("in red", "c", "male", "select"),
        ("in blue", "d", "male", "test"),
        ("in red", "e", "male", "test"),
        ("in blue", "f", "female", "test"),
        ("in red", "f", "female", "test"),
        ("in green", "g", "female", "test"),
        ("in blue", "h", "unknown", "test"),
    ]
    assert told_in_train(*zip(*rows, strict=True)) == (4, 2)


def test_what_is_left_of_a_caption_are_the_words_outside_its_spans():
    assert masked_words("A Woman, in blue.", [(2, 7)], "en") == ["a", "in", "blue"]
    assert masked_words("معلمةٌ: بشرة", [(0, 6)], "ar") == ["بشرة"]


def test_the_summary_counts_them_in_every_language(tmp_path, table):
    _, summary = build(tmp_path / "out", table(people(30)))
    tested = sum(c["images"] for c in summary["counts"] if c["split"] == "test" and c["gender"] != "unknown")
    for told in summary["masked"].values():
        assert told["test_images"] == tested and told["test_images_told_in_train"] == 0


TAGGED = (*HEADER, "group", "split", "en_label_spans", "ar_label_spans")


def tagged(pairs=8):
    """Rows of sentences in both genders, the pairs in train, select, test, test in turn."""
    return [
        [
            *(f"{i}_{gender}", f"{word} reads {i}", f"{arabic} تقرأ {i}", gender, "", str(i)),
            *(("train", "select", "test", "test")[i % 4], f"[[0, {len(word)}]]", f"[[0, {len(arabic)}]]"),
        ]
        for i in range(pairs)
        for gender, word, arabic in (("female", "Judy", "جودي"), ("male", "Judd", "جد"))
    ]


def test_a_table_says_its_splits_and_which_characters_are_masked(tmp_path, table):
    """No lexicon has these names, and one that is given masks nothing more."""
    rows = tagged()
    for lexicons in ({}, {"en": LEXICONS / "gender_en.yaml", "ar": LEXICONS / "gender_ar.yaml"}):
        tables, summary = build(tmp_path / "out", table(rows, TAGGED), lexicons=lexicons)
        for language, words in (("en", {"Judy", "Judd"}), ("ar", {"جودي", "جد"})):
            found = tables[language]
            assert found["split"].tolist() == [row[6] for row in rows]
            spans = found["label_spans"].map(json.loads)
            shown = [text[a:b] for text, own in zip(found["caption"], spans, strict=True) for a, b in own]
            assert len(shown) == len(rows) and set(shown) == words
        assert summary["mask"] == "label_spans" and summary["splits"] is None and summary["seed"] is None
        assert summary["masked"]["en"] == {"rows": 16, "test_images": 8, "test_images_told_in_train": 0}
        assert not {"no_lexicon", "no_hits"} & {warned["code"] for warned in summary["warnings"]}
    assert (tables["en"].groupby("group")["gender"].nunique() == 2).all()


def test_a_pair_in_two_splits_and_an_empty_split_are_refused(tmp_path, table):
    rows = tagged()
    rows[4][6] = "train"
    with pytest.raises(InputError, match="one split for what the column `group`"):
        build(tmp_path / "a", table(rows, TAGGED))
    with pytest.raises(InputError, match="no image in select"):
        build(tmp_path / "b", table([row for row in tagged() if row[6] != "select"], TAGGED))


def test_unknown_stays_unknown_even_if_the_caption_tells_a_gender(tmp_path, table):
    rows = people(30)
    rows[2][1] = "a woman with her sister"
    tables, summary = build(tmp_path / "out", table(rows))
    assert tables["en"]["gender"][2] == "unknown" and json.loads(tables["en"]["label_spans"][2])
    column = {entry["derived"]: entry for entry in summary["agreement"]["column"]}
    assert column["en"]["table"]["unknown"] == {"female": 1, "male": 0, "unknown": 9}
    assert (
        column["en"]["agree"] == 29 and column["ar"]["agree"] == 30 and column["combined"]["one_silent"] == 1
    )


def test_gender_from_the_captions_and_how_the_languages_agree(tmp_path, table):
    rows = [[*row[:3], row[4]] for row in people(30)]
    rows[0][2] = "رجل في الصورة"  # the languages contradict each other
    rows[1][2] = "شخص في الصورة"  # one of them is silent
    rows[3][1] = "the other person on the theatre's stage"
    tables, summary = build(tmp_path / "out", table(rows, UNLABELLED))
    gender = tables["ar"]["gender"]
    assert set(tables["ar"]["gender_source"]) == {"caption"} and summary["gender_source"] == "caption"
    assert gender[0] == "unknown" and gender[1] == "male" and gender[3] == "female"
    assert Counter(gender) == {"female": 9, "male": 10, "unknown": 11}
    (pair,) = summary["agreement"]["languages"]
    assert (pair["first"], pair["second"], pair["images"]) == ("en", "ar", 30)
    assert pair["contradict"] == 1 and pair["one_silent"] == 2 and pair["agree"] == 27
    assert summary["agreement"]["column"] == []
    english = ["female", "male", "unknown"] * 10
    arabic = list(english)
    english[3], arabic[0], arabic[1] = "unknown", "male", "unknown"
    assert pair["kappa"] == pytest.approx(cohen_kappa_score(english, arabic))


def test_captions_of_one_image_vote_for_its_gender(tmp_path, table):
    rows = [[*row[:3], row[4]] for row in people(30, captions=3)]
    rows[0][1], rows[1][1] = "a man and a woman", "a person"
    rows[3][1:3], rows[4][1:3] = ["a woman", "امرأة"], ["a person", "شخص"]
    tables, _ = build(tmp_path / "out", table(rows, UNLABELLED))
    genders = tables["en"].groupby("image_id")["gender"].agg(set)
    assert genders["img_00000"] == {"female"} and genders["img_00001"] == {"unknown"}


def test_kappa_where_it_is_not_defined():
    assert cohen_kappa([]) is None
    assert cohen_kappa([("female", "female")] * 3) is None
    assert cohen_kappa([("female", "male"), ("male", "female")]) == -1


def test_a_quarantined_image_is_dropped_in_both_languages(tmp_path, table):
    rows = people(30, captions=2)
    for i in range(30):
        write_image(tmp_path / f"images/img_{i:05d}.png", i)
    (tmp_path / "images/img_00004.png").write_text("broken")
    (tmp_path / "images/img_00005.png").unlink()
    tables, summary = build(tmp_path / "out", table(rows), images=tmp_path / "images")
    for one in tables.values():
        assert len(one) == 56 and not set(one["image_id"]) & {"img_00004", "img_00005"}
        assert one["row"].tolist() == [*range(1, 9), *range(13, 61)]
        assert one["image"][0] == "img_00000.png" and all(len(digest) == 64 for digest in one["image_sha256"])
    assert [entry["image_id"] for entry in summary["quarantine"]] == ["img_00004", "img_00005"]
    assert (
        "not an image" in summary["quarantine"][0]["reason"]
        and "no file" in summary["quarantine"][1]["reason"]
    )
    assert tables["en"][SHARED].equals(tables["ar"][SHARED])


def test_identical_pictures_under_two_names_stay_in_one_split(tmp_path, table):
    for i in range(30):
        write_image(tmp_path / f"images/img_{i:05d}.png", i % 15)
    tables, summary = build(tmp_path / "out", table(people(30)), images=tmp_path / "images")
    split = dict(zip(tables["en"]["image_id"], tables["en"]["split"], strict=True))
    assert len(summary["identical_images"]) == 15
    assert all(split[first] == split[second] for first, second in summary["identical_images"])


def test_the_same_input_gives_the_same_bytes_wherever_it_lies(tmp_path):
    written = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        path = write_csv(tmp_path / name / "captions.csv", people(30))
        build(tmp_path / name / "out", path)
        written.append({file.name: file.read_bytes() for file in (tmp_path / name / "out").iterdir()})
    assert written[0] == written[1]
    assert str(tmp_path) not in written[0]["summary.json"].decode()


def test_the_order_of_the_rows_does_not_move_an_image(tmp_path, table):
    rows = people(30)
    first = build(tmp_path / "a", table(rows))[0]["en"].set_index("image_id")["split"]
    second = build(tmp_path / "b", table(rows[::-1]))[0]["en"].set_index("image_id")["split"]
    assert first.to_dict() == second.to_dict()


def test_one_language_alone_and_a_table_without_lexicon(tmp_path, table):
    tables, summary = build(tmp_path / "one", table(people(30)), languages=["ar"])
    assert (
        list(tables) == ["ar"] and summary["languages"] == ["ar"] and summary["agreement"]["languages"] == []
    )
    tables, summary = build(tmp_path / "none", table(people(30)), lexicons={})
    assert set(tables["en"]["label_spans"]) == {"[]"}
    assert summary["lexicon_hits"] == {} and summary["agreement"] == {"languages": [], "column": []}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"languages": ["en", "fr"]}, "language 'fr'"),
        ({"prompts": {"en": "Describe."}}, "language 'ar'"),
        ({"lexicons": {"en": LEXICONS / "gender_en.yaml"}}, "would not be masked"),
        ({"lexicons": dict.fromkeys(("en", "ar"), LEXICONS / "gender_en.yaml")}, "one of language 'ar'"),
        ({"splits": {"train": 0.98, "select": 0.01, "test": 0.01}}, "no image in"),
        ({"images": LEXICONS}, "not one of 30 images"),
    ],
)
def test_refusals(tmp_path, table, changes, said):
    with pytest.raises(InputError) as caught:
        build(tmp_path / "out", table(people(30)), **changes)
    assert said in str(caught.value)


def test_neither_gender_column_nor_lexicon_is_refused(tmp_path, table):
    rows = [[*row[:3], row[4]] for row in people(30)]
    with pytest.raises(InputError, match="no column 'ground_truth_gender' and no lexicon"):
        build(tmp_path / "out", table(rows, UNLABELLED), lexicons={})


@pytest.mark.parametrize("labelled", [False, True])
def test_without_gender_seventy_texts_in_seven_categories_are_split_by_category_alone(
    tmp_path, table, labelled
):
    rows = [[*row[:4], f"topic {i % 7}"] for i, row in enumerate(people(70))]
    rows = rows if labelled else [[*row[:3], row[4]] for row in rows]
    path = table(rows, HEADER if labelled else UNLABELLED)
    lexicons = {"en": tmp_path / "not looked at.yaml"} if labelled else {}
    tables, summary = build(tmp_path / "out", path, lexicons=lexicons, gender=False)
    for one in tables.values():
        assert set(one["gender"]) == {"unknown"} and set(one["gender_source"]) == {"none"}
        assert set(one["label_spans"]) == {"[]"}
        assert one["category"].tolist() == [f"topic {i % 7}" for i in range(70)]
        cells = Counter(zip(one["category"], one["split"], strict=True))
        share = {"train": 6, "select": 2, "test": 2}
        assert cells == {(f"topic {k}", split): n for k in range(7) for split, n in share.items()}
    assert summary["gender_source"] == "none" and summary["lexicon_hits"] == {}
    assert summary["agreement"] == {"languages": [], "column": []}
    assert summary["sources"] == {"captions": "captions.csv", "images": None, "lexicons": {}}


def test_the_planted_source(tmp_path):
    draw_source(tmp_path / "source", images=100, seed=0)
    lexicons = {language: LEXICONS / f"planted_{language}.yaml" for language in ("en", "ar")}
    source = tmp_path / "source"
    tables, summary = build(
        tmp_path / "out", source / "captions.csv", images=source / "images", lexicons=lexicons
    )
    assert summary["quarantine"] == summary["identical_images"] == []
    assert Counter(tables["en"]["gender"]) == {"unknown": 40, "female": 30, "male": 30}
    column = {entry["derived"]: entry for entry in summary["agreement"]["column"]}
    assert column["ar"]["table"]["female"] == {"female": 30, "male": 0, "unknown": 0}


def test_twice_the_rows_are_twice_the_work(tmp_path, table):
    """In calls of functions: a step that compared rows or images with one another would make four times as many.

    Without lexicons, as to look for their words in a caption takes thousands of calls.
    """

    def calls(images):
        path, made = table(people(images, captions=2)), 0

        def count(frame, event, argument):
            nonlocal made
            made += event in ("call", "c_call")

        sys.setprofile(count)
        try:
            tables, _ = build(tmp_path / f"{images}", path, lexicons={}, gender=False)
        finally:
            sys.setprofile(None)
        assert len(tables["ar"]) == 2 * images
        return made

    calls(12)  # what is loaded at first use
    few, some, many = map(calls, (30, 60, 120))
    assert 1.5 < (many - some) / (some - few) < 2.5, (few, some, many)


def grouped(images, size):
    """Rows of `images` images in groups of `size`; every third group has its members go alone."""
    return [[*row, "" if i // size % 3 == 2 else f"g{i // size}"] for i, row in enumerate(people(images))]


@pytest.mark.parametrize("size", [2, 3, 7])
def test_no_group_is_in_two_splits_and_the_shares_hold(tmp_path, table, size):
    rows = grouped(420, size)
    tables, _ = build(tmp_path / "out", table(rows, (*HEADER, "group")))
    en = tables["en"]
    said = np.array([row[-1] for row in rows])
    assert list(en.columns) == COLUMNS
    # a group is called by the first of its ids, an image alone by its own
    assert (en.loc[said != ""].groupby(said[said != ""])["group"].nunique() == 1).all()
    assert en["group"].nunique() == len(set(said) - {""}) + (said == "").sum()
    assert set(en["group"]) <= set(en["image_id"])
    assert (en.groupby("group")["split"].nunique() == 1).all()
    alone = en[said == ""]
    assert (alone["group"] == alone["image_id"]).all()
    assert (alone.groupby(["gender", "category"])["split"].nunique() == 3).all()
    shares = en["split"].value_counts(normalize=True)
    assert abs(shares["train"] - 0.6) < 0.05 and abs(shares["test"] - 0.2) < 0.05


def test_groups_and_identical_pictures_together_keep_what_they_touch(tmp_path, table):
    rows = [[*row, f"g{i // 2}"] for i, row in enumerate(people(60))]
    for i in range(60):
        write_image(
            tmp_path / f"images/img_{i:05d}.png", seed=(i + 1) // 2 if i < 10 else i
        )  # 0-1-…-9 one chain
    tables, _ = build(tmp_path / "out", table(rows, (*HEADER, "group")), images=tmp_path / "images")
    assert tables["en"]["split"][:10].nunique() == 1
    assert tables["en"]["group"][:10].nunique() == 1, "what goes together in splits is one in every test"


def test_an_empty_column_of_groups_changes_no_split(tmp_path, table):
    without, _ = build(tmp_path / "a", table(people(60)))
    empty, _ = build(tmp_path / "b", table([[*row, ""] for row in people(60)], (*HEADER, "group")))
    assert empty["en"].equals(without["en"])


def test_one_image_in_two_groups_is_refused(tmp_path, table):
    rows = [[*row, f"g{i}"] for i, row in enumerate(people(12, captions=2))]
    with pytest.raises(
        InputError, match="row 2, column 'group'.*'g1' for image 'img_00000', but 'g0' in row 1"
    ):
        build(tmp_path / "out", table(rows, (*HEADER, "group")))


def test_the_split_of_a_table_without_groups_is_pinned(tmp_path, table):
    """A change here moves images between splits of every study that exists."""
    tables, _ = build(tmp_path / "out", table(people(24)))
    assert "".join(split[1] for split in tables["en"]["split"]) == "rerererreeerererrrerrrre"
