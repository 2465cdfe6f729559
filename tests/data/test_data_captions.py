"""Reading a caption table: what is accepted, and what every refusal says."""

import subprocess
import sys

import pytest
from data_tables import HEADER, people, write_csv

from crosslens.data.captions import read_rows
from crosslens.errors import InputError

BOTH = ("en", "ar")


@pytest.fixture
def table(tmp_path):
    def write(rows, header=HEADER):
        return write_csv(tmp_path / "captions.csv", rows, header)

    return write


def test_a_row_is_read_as_it_is_written(table):
    text = '  A woman, with a "hat"\nand a dog. '
    rows = read_rows(table([["a", text, "امرأة", "F", "nurse"]]), BOTH)
    assert rows == [(1, "a#0", "a", {"en": text, "ar": "امرأة"}, "female", "nurse", None, None, None)]


def test_other_column_names_without_gender_and_category(table):
    rows = read_rows(table([["a.jpg", "x", "س"]], ("image", "en_caption", "ar_caption")), BOTH)
    assert rows[0].image_id == "a.jpg" and rows[0].captions == {"en": "x", "ar": "س"}
    assert rows[0].gender is None and rows[0].category == ""


def test_columns_mapping_reads_other_languages(table):
    path = table([["a", "une femme", "sie"]], ("image_id", "fr", "german text"))
    assert read_rows(path, ["fr", "de"], {"fr": "fr", "de": "german text"})[0].captions == {
        "fr": "une femme",
        "de": "sie",
    }
    assert read_rows(path, ["de"], {"fr": "fr", "de": "german text"})[0].captions == {"de": "sie"}


def test_only_the_wanted_languages_are_needed(table):
    path = table([["a", "x"]], ("image_id", "english_prompt"))
    assert read_rows(path, ["en"])[0].captions == {"en": "x"}


def test_a_byte_order_mark_and_windows_line_ends_are_tolerated(tmp_path):
    path = tmp_path / "captions.csv"
    path.write_bytes("\ufeffimage_id,english_prompt,arabic_prompt\r\na,x,س\r\n\r\n".encode())
    assert [row.image_id for row in read_rows(path, BOTH)] == ["a"]


def test_five_captions_of_an_image_are_five_samples(table):
    rows = read_rows(table(people(2, captions=5)), BOTH)
    assert [row.sample_id for row in rows[:5]] == [f"img_00000#{k}" for k in range(5)]
    assert [row.row for row in rows] == list(range(1, 11))


@pytest.mark.parametrize(
    ("written", "gender"),
    [(w, "male") for w in ("m", "M", "male", "Man", "BOY ")]
    + [(w, "female") for w in ("f", "F", "female", "woman", "Girl")]
    + [(w, "unknown") for w in ("unknown", "U", "", " ")],
)
def test_spellings_of_gender(table, written, gender):
    assert read_rows(table([["a", "x", "س", written, ""]]), BOTH)[0].gender == gender


def refusal(path, languages=BOTH, columns=None):
    with pytest.raises(InputError) as caught:
        read_rows(path, languages, columns)
    assert str(path) in str(caught.value) or path.name in str(caught.value)
    return str(caught.value)


ROW = ["a", "x", "س", "f", "nurse"]


@pytest.mark.parametrize(
    ("rows", "header", "said"),
    [
        (
            [["a", "x"]],
            ("image_id", "english_prompt"),
            ["columns image_id, english_prompt", "'arabic_prompt'", "ar"],
        ),
        (
            [["x", "س"]],
            ("english_prompt", "arabic_prompt"),
            ["'image_id' or 'image'", "columns english_prompt"],
        ),
        ([["a|b"]], ("image_id|english_prompt",), ["columns image_id|english_prompt", "commas"]),
        (
            [ROW, ["b", "x", "س", "femme", ""]],
            HEADER,
            ["row 2", "'ground_truth_gender'", "'femme'", "unknown"],
        ),
        ([ROW, ["b", " ", "س", "f", ""]], HEADER, ["row 2", "'english_prompt'", "empty caption"]),
        ([["a", "x", "\u200b\ufeff", "f", ""]], HEADER, ["row 1", r"an empty caption ('\u200b\ufeff')"]),
        ([ROW, ["b", "x", "", "f", ""]], HEADER, ["row 2", "'arabic_prompt'", "empty caption"]),
        ([["", "x", "س", "f", ""]], HEADER, ["row 1", "'image_id'"]),
        ([["../x", "x", "س", "f", ""]], HEADER, ["row 1", "'image_id'", "'../x'"]),
        ([ROW, ["b", "y", "س", "f", ""], ROW], HEADER, ["row 3", "'a'", "row 1"]),
        ([ROW, ["a", "y", "س", "m", "nurse"]], HEADER, ["row 2", "'male'", "'female' in row 1"]),
        ([ROW, ["a", "y", "س", "u", "nurse"]], HEADER, ["row 2", "'unknown'", "'female' in row 1"]),
        ([ROW, ["a", "y", "س", "f", "cook"]], HEADER, ["row 2", "'category'", "'cook'", "'nurse' in row 1"]),
        ([["a", "x", "س", "f"]], HEADER, ["row 1", "4 fields", "5"]),
        ([], HEADER, ["no data rows"]),
        ([ROW], ("image_id", "image_id", *HEADER[2:]), ["header", "image_id more than once"]),
        (
            [["a", "x", "y", "س"]],
            ("image_id", "english_prompt", "en_caption", "arabic_prompt"),
            ["english_prompt and en_caption", "columns:"],
        ),
    ],
)
def test_refusals(table, rows, header, said):
    message = refusal(table(rows, header))
    assert all(part in message for part in said), message


LONG = ["a", "a woman", *ROW[2:]]
TAGGED = (*HEADER, "split", "en_label_spans", "ar_label_spans")


def test_splits_and_label_spans_are_read_where_the_table_has_them(table):
    rows = read_rows(table([[*LONG, " test ", "[[0, 1], [1, 3]]", "[]"]], TAGGED), BOTH)
    assert rows[0].split == "test" and rows[0].label_spans == {"en": [[0, 1], [1, 3]], "ar": []}


@pytest.mark.parametrize(
    ("split", "english", "said"),
    [
        ("dev", "[]", "row 1, column 'split': found 'dev'; expected one of train, select, test"),
        ("", "[]", "row 1, column 'split': found ''"),
        *(
            ("train", spans, "row 1, column 'en_label_spans'")
            for spans in (
                *("", "0-3", "{}", "[1, 2]", "[[0]]", "[[0, 1.5]]", "[[true, 2]]", "[[-1, 2]]"),
                *("[[2, 2]]", "[[3, 1]]", "[[0, 3], [2, 4]]", "[[4, 5], [0, 1]]", "[[0, 999]]"),
            )
        ),
    ],
)
def test_splits_and_spans_that_are_none_are_refused(table, split, english, said):
    assert said in refusal(table([[*LONG, split, english, "[]"]], TAGGED))


def test_label_spans_of_one_language_alone_are_refused(table):
    message = refusal(table([[*ROW, "[]"]], (*HEADER, "en_label_spans")))
    assert "en_label_spans and no ar_label_spans" in message


def test_rows_of_an_image_are_in_one_split(table):
    other = [ROW[0], "another", "آخر", *ROW[3:]]
    message = refusal(table([[*ROW, "train", "[]", "[]"], [*other, "test", "[]", "[]"]], TAGGED))
    assert "'test' for image" in message and "'train' in row 1" in message


def test_sample_ids_must_be_unique(table):
    header = ("sample_id", "image_id", "english_prompt", "arabic_prompt")
    message = refusal(table([["s", "a", "x", "س"], ["s", "b", "x", "س"]], header))
    assert "row 2" in message and "'sample_id'" in message and "row 1" in message


def test_a_language_without_captions_is_refused(table):
    assert "'fr_caption' with the captions of language 'fr'" in refusal(table([ROW]), ["en", "fr"])
    assert "language 'fr'" in refusal(table([ROW]), ["en", "fr"], {"en": "english_prompt"})


def test_a_named_column_that_is_missing_is_refused(table):
    message = refusal(table([ROW]), ["en"], {"en": "english"})
    assert "'english'" in message and "english_prompt" in message


def test_undecodable_bytes_are_located(tmp_path):
    path = tmp_path / "captions.csv"
    text = 'image_id,english_prompt,arabic_prompt\na,"x\ny",z\nb,café,y\n'
    path.write_bytes(text.encode("latin-1"))
    message = refusal(path)
    assert "row 2" in message and "0xe9" in message and "UTF-8" in message


def test_an_unclosed_quote_is_refused(tmp_path):
    path = tmp_path / "captions.csv"
    path.write_text('image_id,english_prompt,arabic_prompt\na,x,y\nb,"x,y\n', encoding="utf-8")
    assert "row 2" in refusal(path) and "quotes" in refusal(path)


def test_a_missing_and_an_empty_file_are_refused(tmp_path):
    assert "No such file" in refusal(tmp_path / "none.csv")
    (tmp_path / "empty.csv").touch()
    assert "empty file" in refusal(tmp_path / "empty.csv")


def test_the_workflow_can_read_rows_without_heavy_imports():
    code = "import sys, crosslens.data.captions; print(*(m for m in ('numpy', 'pandas', 'torch', 'PIL') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


OWN = """photo,sex,job,family,english_prompt,texte,category
a.png,f,nurse,one,A woman.,Une femme.,ignored
b.png,m,cook,two,A man.,Un homme.,ignored
"""


def test_columns_map_any_of_them_and_keep_the_usual_names_of_the_rest(tmp_path):
    """English is found by its usual name, everything else by the user's; a usual name that is not meant is not read."""
    (tmp_path / "own.csv").write_text(OWN, encoding="utf-8")
    named = {"image_id": "photo", "gender": "sex", "category": "job", "group": "family", "fr": "texte"}
    first, second = read_rows(tmp_path / "own.csv", ["en", "fr"], named)
    assert first.captions == {"en": "A woman.", "fr": "Une femme."} and first.image_id == "a.png"
    assert [(row.gender, row.category, row.group) for row in (first, second)] == [
        ("female", "nurse", "one"),
        ("male", "cook", "two"),
    ]
    del named["category"], named["gender"], named["group"]
    (row, _) = read_rows(tmp_path / "own.csv", ["en", "fr"], named)
    assert (row.gender, row.category, row.group) == (None, "ignored", None)


@pytest.mark.parametrize("role", ["image_id", "gender", "category", "group", "fr"])
def test_a_column_that_is_named_and_not_there_is_told(tmp_path, role):
    (tmp_path / "own.csv").write_text(OWN, encoding="utf-8")
    named = {"image_id": "photo", "fr": "texte"} | {role: "nowhere"}
    with pytest.raises(InputError, match="header: found columns photo, sex, .*expected a column 'nowhere'"):
        read_rows(tmp_path / "own.csv", ["en", "fr"], named)


def test_a_wrong_value_is_told_with_the_users_name_of_its_column(tmp_path):
    (tmp_path / "own.csv").write_text(OWN.replace(",m,", ",maybe,"), encoding="utf-8")
    named = {"image_id": "photo", "gender": "sex", "fr": "texte"}
    with pytest.raises(InputError, match="row 2, column 'sex': found 'maybe'"):
        read_rows(tmp_path / "own.csv", ["en", "fr"], named)
