"""The model's own captions as a dataset: the picture's labels, and the words in them that tell a gender."""

import json

import pandas as pd
import pytest

from crosslens.data.written import mask_captions
from crosslens.errors import InputError
from crosslens.tables.documents import read_table, write_table

LEXICON = "resources/lexicons/gender_en.yaml"


@pytest.fixture
def tables(tmp_path):
    """Two pictures, one of them with two captions of the table, whose rows are in two parts."""
    names = ["a#0", "a#1", "b#0"]
    given = pd.DataFrame({"sample_id": names, "image_id": ["a", "a", "b"], "row": [1, 2, 3]})
    given["caption"] = ["She waves.", "The woman waves.", "He sits."]
    given["gender"], given["split"], given["label_spans"] = ["female", "female", "male"], "test", "[[0, 3]]"
    write_table(tmp_path / "en.parquet", "dataset", given)
    own = given[["sample_id", "image_id", "row"]].assign(caption=["A man waves.", "A man waves.", ""])
    for part, rows in (("0", own[:1]), ("1", own[1:])):
        write_table(tmp_path / f"{part}.parquet", "written", rows)
    return tmp_path


def made(folder, **changes):
    settings = {"lexicon": LEXICON, "mask": "label_words", "language": "en"} | changes
    mask_captions(
        dataset=folder / "en.parquet",
        written=[folder / "0.parquet", folder / "1.parquet"],
        out=folder / "out.parquet",
        **settings,
    )
    return read_table(folder / "out.parquet", "dataset")


def test_one_row_a_picture_with_its_own_gender_and_the_words_of_what_was_written(tables):
    table = made(tables)
    assert table["image_id"].tolist() == ["a", "b"] and table["caption"].tolist() == ["A man waves.", ""]
    # the picture's gender, whatever the model says
    assert table["gender"].tolist() == ["female", "male"]
    (start, end), *others = json.loads(table["label_spans"][0])
    assert "A man waves."[start:end] == "man" and not others and table["label_spans"][1] == "[]"


def test_without_a_lexicon_nothing_is_masked(tables):
    assert made(tables, lexicon=None)["label_spans"].tolist() == ["[]", "[]"]


def test_what_agrees_with_a_person_is_masked_where_both_forms_are_written(tables):
    own = pd.DataFrame({"sample_id": ["a#0", "b#0"], "image_id": ["a", "b"], "row": [1, 3]})
    for part, caption in (("0", "طبيبة في الصورة"), ("1", "طبيب في الصورة")):
        rows = own[own["row"] == (1 if part == "0" else 3)].assign(caption=caption)
        write_table(tables / f"{part}.parquet", "written", rows)
    lexicon = "resources/lexicons/gender_ar.yaml"
    agreed = made(tables, lexicon=lexicon, mask="agreement", language="ar")
    words = made(tables, lexicon=lexicon, language="ar")
    assert [json.loads(spans) for spans in agreed["label_spans"]] == [[[0, 5]], [[0, 4]]]
    assert words["label_spans"].tolist() == ["[]", "[]"]


def test_a_caption_of_no_sample_is_refused(tables):
    write_table(
        tables / "1.parquet",
        "written",
        pd.DataFrame({"sample_id": ["z#0"], "image_id": ["z"], "row": [9], "caption": [""]}),
    )
    with pytest.raises(InputError, match="a caption of z#0"):
        made(tables)
