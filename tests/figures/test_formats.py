"""A figure for a paper: the same picture in lines, its numbers beside it, no title in it."""

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from crosslens.figures.style import MANY, heading, save, stacked, style, tidy

TABLE = pd.DataFrame({"site": ["2", "4"], "language": ["en", "ar"], "value": [1 / 3, None], "n": [7, 8]})


def drawn(label: str = "", points: int = 3) -> Figure:
    with style():
        figure = Figure(figsize=(3, 2))
        axes = figure.subplots()
        axes.scatter(np.arange(points), np.arange(points))
        axes.set_xlabel(label)
        heading(figure, "A title & more", "n = 3 points")
    return figure


def test_the_same_bytes_in_every_format_and_the_title_is_metadata_alone(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        save(drawn(), tmp_path / name / "figure.png", TABLE)
    read = {path.suffix: path.read_bytes() for path in (tmp_path / "first").iterdir()}
    assert {path.suffix: path.read_bytes() for path in (tmp_path / "second").iterdir()} == read
    assert sorted(read) == [".csv", ".pdf", ".png", ".svg"]
    svg = read[".svg"].decode()
    assert "<dc:title>A title &amp; more</dc:title>" in svg and "<!-- A title" not in svg
    # outlines have their words as a comment before them
    assert "<!-- n = 3 points -->" in svg and 'id="note"' in svg and "<dc:date>" not in svg
    assert b"A title & more" in read[".pdf"] and b"tEXt" not in read[".png"]
    assert b"CreationDate" not in read[".pdf"]


def test_numbers_come_back_from_the_table(tmp_path):
    save(drawn(), tmp_path / "figure.png", TABLE)
    again = pd.read_csv(tmp_path / "figure.csv", dtype={"site": str})
    pd.testing.assert_frame_equal(again, TABLE, rtol=1e-9, check_dtype=False)
    assert (tmp_path / "figure.csv").read_bytes().count(b"\r") == 0


def test_arabic_letters_are_joined_in_lines_too(tmp_path):
    """رجل is drawn with the forms that its letters have in the word: not one outline is that of a letter alone."""
    shapes = {}
    for name, label in (("word", "رجل"), ("letters", "ر ج ل"), ("none", "")):
        save(drawn(label), tmp_path / f"{name}.png", TABLE)
        svg = (tmp_path / f"{name}.svg").read_text(encoding="utf-8")
        shapes[name] = set(re.findall(r' d="([^"]+)"', svg))
    word, letters = shapes["word"] - shapes["none"], shapes["letters"] - shapes["none"]
    assert len(word) >= 2
    # ر at the word's beginning stands alone, as it joins nothing behind it; ج and ل are joined
    assert len(word - letters) >= 2 and len(letters - word) >= 2


def test_a_cloud_of_many_points_does_not_make_the_file_grow_with_each(tmp_path):
    for name, points in (("few", MANY), ("many", 4 * MANY)):
        save(drawn(points=points), tmp_path / f"{name}.png", TABLE)
    few, many = ((tmp_path / f"{name}.svg").stat().st_size for name in ("few", "many"))
    assert many < few and "<image" in (tmp_path / "many.svg").read_text()
    assert "<image" not in (tmp_path / "few.svg").read_text()


def test_records_become_columns():
    records = [
        {"language": "ar", "null": {"mean": 0.5, "q": {"low": 0.1}}, "names": ["a", "ب"]},
        {"language": "en", "null": {"mean": None, "q": {"low": 0.2}}, "names": []},
    ]
    table = tidy(records)
    assert list(table) == ["language", "names", "null_mean", "null_q_low"]
    assert table["names"].tolist() == ['["a", "ب"]', "[]"] and table["null_q_low"].tolist() == [0.1, 0.2]
    both = stacked(first=TABLE, second=table)
    assert both["table"].tolist() == ["first"] * 2 + ["second"] * 2
    assert tidy([]).empty and stacked(first=pd.DataFrame(), second=TABLE)["n"].tolist() == pytest.approx(
        [7, 8]
    )
