"""Tables as spreadsheets, copied text and broken programs leave them: read right, or refused by what is seen."""

import csv
import io
import random
import string
import unicodedata

import pytest
from damage import damaged
from data_tables import RELAXED, write_image
from hypothesis import assume, given
from hypothesis import strategies as st

from crosslens.data.captions import read_rows
from crosslens.data.csv_table import is_blank, read_table
from crosslens.data.images import verify_images
from crosslens.errors import InputError

HEADER = "image_id,english_prompt,arabic_prompt\n"
BOTH = ("en", "ar")


@pytest.fixture
def read(tmp_path):
    """Text or bytes of a table → [(image_id, English, Arabic)]."""

    def rows(content):
        path = tmp_path / "captions.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return [(row.image_id, *row.captions.values()) for row in read_rows(path, BOTH)]

    return rows


ONE = [("a", "A woman, smiling", "امرأة")]
READ = {
    "as it should be": HEADER + 'a,"A woman, smiling",امرأة\n',
    "semicolons": HEADER.replace(",", ";") + "a;A woman, smiling;امرأة\n",
    "tabs": HEADER.replace(",", "\t") + "a\tA woman, smiling\tامرأة\n",
    "Excel's sep": "sep=;\r\n" + HEADER.replace(",", ";") + "a;A woman, smiling;امرأة\r\n",
    "sep of the usual": "SEP=,\n" + HEADER + 'a,"A woman, smiling",امرأة\n',
    "quotes after a space": HEADER.replace(",", ", ") + 'a, "A woman, smiling", "امرأة"\n',
    "quotes after spaces, all": ' "image_id", "english_prompt","arabic_prompt"\n "a",  "A woman, smiling",امرأة\n',
    "two BOMs": "\ufeff\ufeff" + HEADER + 'a,"A woman, smiling",امرأة\n',
    "a BOM before quotes": '\ufeff"image_id","english_prompt","arabic_prompt"\na,"A woman, smiling",امرأة\n',
    "marks around names": "\u200fimage_id\u200e,\ufeffenglish_prompt, arabic_prompt\u200b\u00a0\n"
    'a,"A woman, smiling",امرأة\n',
    "an index of pandas": "," + HEADER + '0,a,"A woman, smiling",امرأة\n',
    "nameless and empty": HEADER[:-1] + ',,\na,"A woman, smiling",امرأة,,\n',
    "more commas in rows": HEADER + 'a,"A woman, smiling",امرأة,,\n',
    "rows of commas": HEADER + ',,\na,"A woman, smiling",امرأة\n,,\n , ,\n',
    "old Mac": (HEADER + 'a,"A woman, smiling",امرأة\n').replace("\n", "\r"),
    "Windows": (HEADER + 'a,"A woman, smiling",امرأة\n').replace("\n", "\r\n"),
    "no line end": HEADER + 'a,"A woman, smiling",امرأة',
    "./": HEADER + './a,"A woman, smiling",امرأة\n',
}


@pytest.mark.parametrize("name", READ)
def test_a_table_that_says_it_in_another_way_is_read(read, name):
    assert read(READ[name]) == ONE


def test_captions_are_exactly_as_written(read):
    assert read(HEADER + 'a,"one\r\ntwo",س\n') == [("a", "one\r\ntwo", "س")]
    assert read(HEADER + 'a, x," ""hat"", on"\n') == [("a", " x", ' "hat", on')]
    assert read(HEADER + 'a,5" tall,س\n') == [("a", '5" tall', "س")]
    assert read(HEADER + "a,wo\ufeffman,می\u200cرود\n") == [("a", "wo\ufeffman", "می\u200cرود")]


REFUSED = {
    "UTF-16": ((HEADER + "a,x,y\n").encode("utf-16"), ["a file in UTF-16", "save the table as UTF-8"]),
    "UTF-16 without a mark": ((HEADER + "a,x,y\n").encode("utf-16-le"), ["header: found a NUL byte", "UTF-16"]),
    "NUL": (HEADER + "a,x,y\nb,x\0z,y\n", ["row 2: found a NUL byte (the first of 1)"]),
    "latin-1": ((HEADER + "a,café,y\n").encode("latin-1"), ["row 1: found bytes that are not UTF-8 (0xe9"]),
    "cp1256": ((HEADER + "a,x,امرأة\n").encode("cp1256"), ["row 1: found bytes that are not UTF-8 (0xc7"]),
    "an id with a mark inside": (HEADER + "im\u200fg,x,y\n", [r"'im\u200fg', with an invis", "RIGHT-TO-LEFT MARK"]),
    "an id with a mark before": (HEADER + "\u200eimg,x,y\n", [r"row 1, column 'image_id': found '\u200eimg'"]),
    "an id with a BOM": (HEADER + "a,x,y\n\ufeffb,x,y\n", [r"row 2, column 'image_id': found '\ufeffb'"]),
    "an id with a soft hyphen": (HEADER + "im\xadg,x,y\n", [r"'im\xadg'", "SOFT HYPHEN"]),
    "a caption of a braille blank": (HEADER + "a,x,y\nb,\u2800,y\n", ["row 2", "an empty caption"]),
    "an id with a filler": (HEADER + "im\u3164g,x,y\n", ["HANGUL FILLER"]),
    "an id that is a folder": (HEADER + "./,x,y\n", ["'./'", "the name of an image"]),
    "a name with a mark inside": ("image_\u200bid,english_prompt,arabic_prompt\na,x,y\n", [r"image_\u200bid,"]),
    "names that look alike": ("image_id,\u200fimage_id,english_prompt\na,b,x\n", ["column image_id more than once"]),
    "a mark beside the gender": (
        "image_id,english_prompt,arabic_prompt,ground_truth_gender\na,x,y,female\u200f\n",
        [r"found 'female\u200f'; expected male"],
    ),
    "a mark in a category": (
        "image_id,english_prompt,arabic_prompt,category\na,x,y,nur\u200bse\n",
        [r"column 'category': found 'nur\u200bse'", "ZERO WIDTH SPACE"],
    ),
    "a cut caption": (HEADER[:-1] + ",\na,A woman, smiling,y\n", ["'y' in column 4, which has no name"]),
    "ragged": (HEADER + "a,A woman, smiling,y\n", ["row 1: found 4 fields; expected 3", "quote captions"]),
    "short": (HEADER + "a,x\n", ["row 1: found 2 fields; expected 3"]),
    "text behind a quoted field": (HEADER + 'a,"x" y,z\n', ["row 1", "close the quotes"]),
    "only white": (HEADER + ",,\n", ["no data rows"]),
    "two spellings of one id": (HEADER + "a,x,y\n./a,x,y\n", ["row 2", "'a' with the same captions as in row 1"]),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_told_with_what_is_not_seen(read, name):
    content, said = REFUSED[name]
    with pytest.raises(InputError) as told:
        read(content)
    message = str(told.value)
    assert all(part in message for part in said), message
    assert message.isprintable()


def test_names_that_differ_in_how_letters_are_composed_are_one(read):
    composed, apart = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
    assert composed != apart
    assert [row[0] for row in read(f"{HEADER}{composed},x,y\n{apart},z,y\n")] == [composed, composed]


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("in_table", ["NFC", "NFD"])
def test_a_picture_is_found_however_its_name_is_composed(read, tmp_path, on_disk, in_table):
    name = f"{unicodedata.normalize(on_disk, 'é أ')}.png"
    write_image(tmp_path / "images" / name, 0)
    ((image_id, *_),) = read(f"{HEADER}{unicodedata.normalize(in_table, 'é أ')},x,y\n")
    files, quarantine = verify_images(tmp_path / "images", [image_id])
    assert quarantine == [] and files[image_id].image == name


def test_several_errors_are_told_at_once_up_to_ten(read, tmp_path):
    bad = ["a,,y", "b,x", "b\u200f,x,y", "c,x,y,z"]
    with pytest.raises(InputError) as told:
        read(HEADER + "ok,x,y\n" + "\n".join(bad))
    rows = [line.partition("captions.csv, ")[2][:5] for line in str(told.value).splitlines()]
    assert rows == ["row 2", "row 3", "row 4", "row 5"]
    with pytest.raises(InputError) as told:
        read(HEADER + "".join(f"{i},,y\n" for i in range(30)))
    lines = str(told.value).splitlines()
    assert len(lines) == 11 and lines[-1] == "… and 20 more" and "row 10" in lines[9]
    for name in ("a", "b"):
        write_image(tmp_path / f"{name}.png", 0)
    with pytest.raises(InputError, match=r"(?s)'a' and 'a.png'.*\n.*'b' and 'b.png'"):
        verify_images(tmp_path, ["a", "a.png", "b", "b.png"])


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
CAPTION = st.one_of(TEXT, st.text(' ",;\t\nab', min_size=1)).filter(lambda text: not is_blank(text))


@RELAXED
@given(
    st.lists(st.tuples(CAPTION, CAPTION), min_size=1, max_size=4),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_a_program_writes_is_read_to_the_letter(tmp_path_factory, captions, delimiter, quoting, end):
    # Python's writer leaves \r without quotes where it is not in the line's end: what it then writes are two rows.
    assume(quoting == csv.QUOTE_ALL or end == "\r\n" or "\r" not in str.join("", sum(captions, ())))
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writerows([HEADER.strip().split(","), *((f"i{n}", *pair) for n, pair in enumerate(captions))])
    path = tmp_path_factory.mktemp("written") / "captions.csv"
    path.write_bytes(out.getvalue().encode())
    assert [tuple(row.captions.values()) for row in read_rows(path, BOTH)] == captions


def test_damage_is_read_or_told_in_characters_that_are_seen(tmp_path):
    chance, path = random.Random(0), tmp_path / "captions.csv"
    rows = [f'img_{i}, "A woman, ""smiling"" {i}",امرأة في الصورة {i}\r\n' for i in range(30)]
    whole = (HEADER + "".join(rows)).encode()
    ended = {"read": 0, "told": 0}
    for _ in range(400):
        path.write_bytes(damaged(whole, chance))
        try:
            read_rows(path, BOTH)
            ended["read"] += 1
        except InputError as error:
            ended["told"] += 1
            assert str(error).replace("\n", "").isprintable()
    assert min(ended.values()) > 20, ended


def test_headers_keep_their_order(tmp_path):
    path = tmp_path / "captions.csv"
    path.write_text(f",b,{string.ascii_uppercase},a,\n0,1,2,3,\n")
    assert read_table(path).header == ["b", string.ascii_uppercase, "a"]
    assert read_table(path).rows == [(1, {"b": "1", string.ascii_uppercase: "2", "a": "3"})]
