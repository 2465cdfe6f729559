"""Tagged sentences in two genders, read from files laid out as the data set's."""

from pathlib import Path

import pytest

from crosslens.errors import InputError
from crosslens.sources.mt_geneval import SPLITS, Tagged, file_name, parse, read_sentences

SENTENCES = [
    # English of a woman, of a man; Arabic of a woman, of a man
    (
        "<F>She</F> is a <F>queen</F>.",
        "<M>He</M> is a <M>king</M>.",
        "<F>هي ملكة</F> كبيرة.",
        "<M>هو ملك</M> كبير.",
    ),
    (
        "The nurse lost <F>her</F> key.",
        "The nurse lost <M>his</M> key.",
        "<F>فقدت<F> الممرضة</F> مفتاحها</F>.",
        "<M>فقد الممرض مفتاحه</M>.",
    ),
]


def lay(folder: Path, sentences=SENTENCES, other: str = "ar") -> Path:
    """The files of one pair of languages, the same sentences in both splits."""
    folder.mkdir(exist_ok=True)
    columns = dict(
        zip(
            [("en", "female"), ("en", "male"), (other, "female"), (other, "male")],
            zip(*sentences, strict=True),
            strict=True,
        )
    )
    for split in SPLITS:
        for (language, gender), lines in columns.items():
            text = "".join(f"{line}\n" for line in lines)
            (folder / file_name(gender, split, other, language)).write_text(text, encoding="utf-8")
    return folder


def marked(told: Tagged) -> list[str]:
    return [told.text[start:end] for start, end in told.spans]


def test_tags_leave_the_text_and_say_which_characters_they_held():
    told = parse("  <F>She</F> is<F> a queen </F>.", "female")
    assert told.text == "She is a queen ."
    assert marked(told) == ["She", "a queen"]


def test_tags_inside_tags_are_one_stretch():
    told = parse("<F>She <F>was</F> tired</F>, <F>she</F> said", "female")
    assert told.text == "She was tired, she said"
    assert marked(told) == ["She was tired", "she"]


@pytest.mark.parametrize("line", ["<F>her/F> from", "her</F>", "<F>her", "F>her</F>", "<M>his</M>"])
def test_broken_tags_are_told(line: str):
    assert isinstance(parse(line, "female"), str)


def test_every_sentence_comes_in_both_languages_and_genders(tmp_path: Path):
    found, left_out = read_sentences(lay(tmp_path / "data"), ["en", "ar"])
    assert not left_out
    assert [(each.split, each.line) for each in found] == [("dev", 1), ("dev", 2), ("test", 1), ("test", 2)]
    queen = found[0].versions
    assert marked(queen["en"]["female"]) == ["She", "queen"]
    assert marked(queen["ar"]["male"]) == ["هو ملك"]
    assert found[1].versions["ar"]["female"].text == "فقدت الممرضة مفتاحها."


def test_sentences_that_cannot_be_used_are_named_with_the_reason(tmp_path: Path):
    broken = ("<F>She/F> sang", "<M>He</M> sang", "<F>غنت</F>", "<M>غنى</M>")
    untold = ("<F>She</F> sang", "<M>He</M> sang", "غناء", "<M>غنى</M>")
    same = ("<F>It</F> rang", "<M>It</M> rang", "<F>رنت</F>", "<M>رن</M>")
    found, left_out = read_sentences(
        lay(tmp_path / "data", [SENTENCES[0], broken, untold, same]), ["en", "ar"]
    )
    assert [each.line for each in found] == [1, 1]
    assert [(each.split, each.line, each.language) for each in left_out] == [
        (split, line, language) for split in SPLITS for line, language in ((2, "en"), (3, "ar"), (4, "en"))
    ]


def test_three_languages_share_the_sentences_whose_english_is_in_both_pairs(tmp_path: Path):
    folder = lay(tmp_path / "data")
    french = [
        (
            SENTENCES[1][0],
            SENTENCES[1][1],
            "<F>L'infirmière</F> a perdu sa clé.",
            "<M>L'infirmier</M> a perdu sa clé.",
        ),
        ("<F>Her</F> aunt", "<M>His</M> aunt", "<F>elle</F>", "<M>lui</M>"),
    ]
    lay(folder, french, "fr")
    found, left_out = read_sentences(folder, ["en", "ar", "fr"])
    assert [(each.split, each.line) for each in found] == [("dev", 2), ("test", 2)]
    assert marked(found[0].versions["fr"]["male"]) == ["L'infirmier"]
    assert [(each.line, each.language) for each in left_out] == [(1, "fr"), (1, "fr")]


def test_files_of_unequal_length_and_missing_ones_are_refused(tmp_path: Path):
    folder = lay(tmp_path / "data")
    one = folder / file_name("female", "test", "ar", "ar")
    one.write_text(one.read_text(encoding="utf-8") + "<F>هي</F>\n", encoding="utf-8")
    with pytest.raises(InputError, match=f"3 lines in {one.name}"):
        read_sentences(folder, ["en", "ar"])
    one.unlink()
    with pytest.raises(InputError, match=one.name):
        read_sentences(folder, ["en", "ar"])
    with pytest.raises(InputError, match="besides English"):
        read_sentences(folder, ["en"])
