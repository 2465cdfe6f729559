"""Captions of control studies: the label words are still those that are masked."""

import json
import unicodedata
from collections import Counter

import pytest
from data_tables import RELAXED, build, people, write_csv
from hypothesis import given
from hypothesis import strategies as st

from crosslens.data.altered import altered
from crosslens.data.languages import language_of

TEXTS = st.text(alphabet="ab c\u200bٱلمرأة،جميلة 7\n", max_size=40)


@st.composite
def masked_texts(draw):
    text = draw(TEXTS)
    ends = sorted(draw(st.lists(st.integers(0, len(text)), max_size=6, unique=True)))
    return text, list(zip(ends[::2], ends[1::2], strict=False))


def words_in(text, spans):
    return [text[start:end] for start, end in spans]


@RELAXED
@given(masked_texts())
def test_latin_letters_keep_every_span_and_can_be_read_back(masked):
    text, spans = masked
    table = language_of("ar").romanisation
    made, moved = altered(text, spans, "romanised", language="ar", sample="a")
    back = {latin: letter for letter, latin in table.items()}
    assert len(back) == len(table), "two letters with one sign"
    # Safe Buckwalter is one to one and one letter each; Latin letters of the text itself are in the alphabet as a, b, c.
    assert len(made) == len(text) and moved == spans
    assert words_in(made, moved) == ["".join(table.get(c, c) for c in word) for word in words_in(text, spans)]


def test_arabic_in_safe_buckwalter():
    # As the scheme's authors write it, by hand.
    assert altered("المرأة، الرئيسة؟", [(0, 6)], "romanised", language="ar", sample="a") == (
        "AlmrOp, Alr}ysp?".replace("}", "Q"),
        [(0, 6)],
    )
    assert altered("a woman", [(2, 7)], "romanised", language="en", sample="a") == ("a woman", [(2, 7)])
    letters = {
        chr(code) for code in range(0x621, 0x653) if unicodedata.category(chr(code)) in ("Lo", "Lm", "Mn")
    }
    assert {letter for letter in letters if letter < "\u063b" or letter > "\u063f"} <= {
        *language_of("ar").romanisation
    }


@RELAXED
@given(masked_texts(), st.text(max_size=3))
def test_shuffled_words_are_the_same_words_with_the_same_letters_masked(masked, sample):
    text, spans = masked
    made, moved = altered(text, spans, "shuffled", language="ar", sample=sample)
    assert Counter(made.split()) == Counter(text.split()) and len(made) == len(text)
    hidden = [any(start <= i < end for start, end in spans) for i in range(len(text))]
    still = [any(start <= i < end for start, end in moved) for i in range(len(made))]
    assert Counter(c for c, h in zip(text, hidden, strict=True) if h and not c.isspace()) == Counter(
        c for c, h in zip(made, still, strict=True) if h
    )
    assert altered(text, spans, "shuffled", language="ar", sample=sample) == (made, moved)


def test_orders_differ_between_samples():
    text = "one two three four five six seven"
    assert len({altered(text, [], "shuffled", language="en", sample=str(n))[0] for n in range(20)}) > 15


@pytest.mark.parametrize("text", ["romanised", "shuffled"])
def test_labels_splits_and_masked_words_are_those_of_the_captions_as_given(tmp_path, text):
    captions = write_csv(tmp_path / "captions.csv", people(30))
    plain, _ = build(tmp_path / "plain", captions)
    tables, summary = build(tmp_path / "control", captions, text=text)
    assert summary["text"] == text
    for language, table in tables.items():
        same = [column for column in table if column not in ("caption", "label_spans")]
        assert table[same].equals(plain[language][same])
        assert not table["caption"].equals(plain[language]["caption"]) or (text, language) == (
            "romanised",
            "en",
        )
    told = {"female": "woman", "male": "man", "unknown": None}

    for row in tables["en"].itertuples():
        found = words_in(row.caption, json.loads(row.label_spans))
        assert found == ([told[row.gender]] if told[row.gender] else [])
    if text == "romanised":
        for row in tables["ar"].itertuples():
            found = words_in(row.caption, json.loads(row.label_spans))
            assert found == {"female": ["AmrOp"], "male": ["rjl"], "unknown": []}[row.gender]
