"""What the page says of grammar: counts beside chance, a null plainly, and what was not tested as that."""

import pytest
from stand_in import StandIn

from crosslens.figures.grammar import drawn
from crosslens.report.sections import grammar
from crosslens.summary.claims import claimed
from crosslens.summary.records.grammar import records
from crosslens.tables.documents import write_json

NULL = {"mean": 0.2, "q50": 0.0, "q95": 1.0, "max": 3.0}


def made(folder, significant, p, because=None):
    """The records of two layers."""
    files = {}
    for site in ("2", "4"):
        grammatical = {"tested": because is None, "because": because, "features": 40}
        grammatical |= {"units": {"feminine": 7, "masculine": 8}}
        grammatical |= {
            "significant": None if because else significant,
            "null": NULL | {"p": None if because else p, "least_p": None if because else 0.001},
        }
        counts = {"semantic": 9, "grammatical": significant, "both": 2, "neither": 20, "few_words": 11}
        part = {
            "features": 80,
            "counts": counts,
            "chance": {"semantic": 0.1, "grammatical": 0.2, "both": 0.0},
        }
        document = {
            "site": site,
            "sae": "d",
            "morphology": "crosslens",
            "semantic": {"tested": True, "because": None},
            "grammatical": grammatical,
            "classes": {"all": None if because else part, "gendered": None if because else part},
        }
        (folder / site).mkdir()
        write_json(folder / site / "grammar.json", "grammar", document)
        files[site] = records({"grammar": {"joint/ar": folder / site}})["grammar"]
    every = {"grammar": [record for some in files.values() for record in some]}
    claimed(every, 0.05)
    return every["grammar"]


def told(found) -> str:
    return "".join(map(str, grammar.section(StandIn({"grammar": found})).body))


@pytest.mark.parametrize(
    ("significant", "p", "words"),
    [
        (6, 0.005, "claims that are corrected for each other): block 2, joint SAE, Arabic 6 of 40 tested"),
        (0, 1.0, "In none of 2 cases (layers and SAEs) are features that tell the grammatical gender"),
    ],
)
def test_more_than_chance_and_no_more(tmp_path, significant, p, words):
    body = told(made(tmp_path, significant, p))
    assert words in body and body.count("<tr>") == 5 and "not tested" not in body
    assert "over these cases alone: it is none of the claims" in body
    assert "is from a word list and from endings" in body


def test_the_page_says_whose_genders_they_are(tmp_path):
    found = [record | {"morphology": "camel_tools"} for record in made(tmp_path, 6, 0.005)]
    assert "is from the lexicon of CAMeL Tools" in told(found)


def test_too_few_nouns_are_no_null(tmp_path):
    body = told(made(tmp_path, 0, 1.0, "there are 3 feminine nouns for things, and it takes 5 of each"))
    assert "not tested, because there are 3 feminine nouns" in body and "In none of" not in body
    assert "<table" not in body


def test_bars_are_the_counts(tmp_path):
    (axes,) = drawn(made(tmp_path, 6, 0.005), ["2", "4"]).axes
    assert [[bar.get_height() for bar in bars] for bars in axes.containers] == [[9, 9], [6, 6], [2, 2]]
    chance = [segment[0][1] for lines in axes.collections for segment in lines.get_segments()]
    assert chance == [0.1, 0.1, 0.2, 0.2, 0.0, 0.0]
    (empty,) = drawn([], ["2"]).axes
    assert "not measured" in [text.get_text() for text in empty.texts]
