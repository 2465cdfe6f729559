"""Phrases with their gendered words marked by hand: how many the lexicons find, and how many they find that are none."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest
from data_tables import LEXICONS

from crosslens.data.labels import gendered_spans
from crosslens.data.lexicons import load_lexicon

MARK = re.compile(r"\b([fm])\{(.*?)\}")
GENDER = {"f": "female", "m": "male"}


class Phrase(NamedTuple):
    text: str
    spans: set[tuple[int, int, str]]


def parsed(line):
    """A phrase without its marks, and the spans of what was marked."""
    text, spans, last = "", set(), 0
    for mark in MARK.finditer(line):
        text += line[last : mark.start()]
        spans.add((len(text), len(text) + len(mark[2]), GENDER[mark[1]]))
        text, last = text + mark[2], mark.end()
    return Phrase(text + line[last:], spans)


def phrases(language):
    lines = (Path(__file__).parent / f"phrases_{language}.txt").read_text(encoding="utf-8").splitlines()
    return [parsed(line) for line in lines if not line.startswith("#")]


@pytest.mark.parametrize("language", ["en", "ar"])
def test_precision_and_recall_of_the_shipped_lexicons(language):
    lexicon = load_lexicon(LEXICONS / f"gender_{language}.yaml", language)
    table = phrases(language)
    found = {phrase.text: set(gendered_spans(phrase.text, language, lexicon)) for phrase in table}
    right = sum(len(phrase.spans & found[phrase.text]) for phrase in table)
    precision = right / sum(map(len, found.values()))
    recall = right / sum(len(phrase.spans) for phrase in table)
    print(f"{language}: {len(table)} phrases, precision {precision:.3f}, recall {recall:.3f}")
    wrong = {phrase.text: found[phrase.text] ^ phrase.spans for phrase in table}
    wrong = {text: spans for text, spans in wrong.items() if spans}
    assert len(table) == len(found) >= 200 and precision >= 0.97 and recall >= 0.97, wrong
