"""Tagged sentences in two genders, read from files laid out as the data set's."""

from pathlib import Path

import pytest
from mt_geneval_files import lay, planted_sentences

from crosslens.errors import InputError
from crosslens.sources.mt_geneval import SPLITS, Tagged, file_of, parse, read_sentences

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

FILLERS = planted_sentences(8)
"""Of which some train and some select."""


def told(*sentences) -> dict[str, list]:
    """Those of dev, and behind them as many that train and select need; of test the same with a word more."""
    filled = [*sentences, *FILLERS]
    return {"dev": filled, "test": [tuple(f"{text} again" for text in each) for each in filled]}


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
    found, left_out = read_sentences(lay(tmp_path / "data", told(*SENTENCES)), ["en", "ar"])
    assert not left_out and len(found) == 2 * (len(SENTENCES) + len(FILLERS))
    dev = {each.line: each.versions for each in found if each.split == "dev"}
    assert marked(dev[1]["en"]["female"]) == ["She", "queen"]
    assert marked(dev[1]["ar"]["male"]) == ["هو ملك"]
    assert dev[2]["ar"]["female"].text == "فقدت الممرضة مفتاحها."


def test_a_clone_is_read_from_its_annotated_files(tmp_path: Path):
    flat = lay(tmp_path / "flat", told(*SENTENCES))
    clone = lay(tmp_path / "clone", told(*SENTENCES), cloned=True)
    bare = clone / "data/sentences/dev/geneval-sentences-feminine-dev.en_ar.en"
    bare.write_text("She is a queen.\n", encoding="utf-8")
    assert read_sentences(clone, ["en", "ar"]) == read_sentences(flat, ["en", "ar"])


def test_test_is_its_own_and_dev_divides_by_the_sentence_whatever_stands_beside_it(tmp_path: Path):
    many = {"test": planted_sentences(5, first=5000), "dev": planted_sentences(400)}
    found, _ = read_sentences(lay(tmp_path / "all", many), ["en", "ar"])
    use = {each.versions["en"]["female"].text: each.use for each in found}
    assert {each.use for each in found if each.split == "test"} == {"test"}
    share = sum(each.use == "select" for each in found) / 400
    assert abs(share - 1 / 4) < 4 * (3 / 16 / 400) ** 0.5
    fewer, _ = read_sentences(lay(tmp_path / "some", many | {"dev": many["dev"][100:]}), ["en", "ar"])
    assert all(use[each.versions["en"]["female"].text] == each.use for each in fewer)


def test_sentences_that_cannot_be_used_are_named_with_the_reason(tmp_path: Path):
    broken = ("<F>She/F> sang", "<M>He</M> sang", "<F>غنت</F>", "<M>غنى</M>")
    untold = ("<F>She</F> sang", "<M>He</M> sang", "غناء", "<M>غنى</M>")
    same = ("<F>It</F> rang", "<M>It</M> rang", "<F>رنت</F>", "<M>رن</M>")
    folder = lay(tmp_path / "data", told(SENTENCES[0], broken, untold, same))
    found, left_out = read_sentences(folder, ["en", "ar"])
    assert [each.line for each in found if each.split == "dev"] == [1, *range(5, 13)]
    assert [(each.split, each.line, each.language) for each in left_out] == [
        (split, line, language) for split in SPLITS for line, language in ((2, "en"), (3, "ar"), (4, "en"))
    ]


def test_a_sentence_of_test_does_not_train(tmp_path: Path):
    lines = told(*SENTENCES)
    lines["dev"][3] = lines["test"][0]
    found, left_out = read_sentences(lay(tmp_path / "data", lines), ["en", "ar"])
    assert [(each.split, each.line, each.why) for each in left_out] == [
        ("dev", 4, "another sentence has the same English")
    ]
    texts = [each.versions["en"]["female"].text for each in found]
    assert len(texts) == len(set(texts)) == 2 * len(lines["dev"]) - 1


def test_three_languages_share_the_sentences_whose_english_is_in_both_pairs(tmp_path: Path):
    folder = lay(tmp_path / "data", told(*SENTENCES))
    french = told(
        (*SENTENCES[1][:2], "<F>L'infirmière</F> a perdu sa clé.", "<M>L'infirmier</M> a perdu sa clé."),
        ("<F>Her</F> aunt", "<M>His</M> aunt", "<F>elle</F>", "<M>lui</M>"),
    )
    lay(folder, french, "fr")
    found, left_out = read_sentences(folder, ["en", "ar", "fr"])
    lines = [2, *range(3, 11)]
    assert [(each.split, each.line) for each in found] == [
        (split, line) for split in SPLITS for line in lines
    ]
    assert marked(found[-len(lines)].versions["fr"]["male"]) == ["L'infirmier"]
    assert [(each.line, each.language) for each in left_out] == [(1, "fr"), (1, "fr")]


def test_files_of_unequal_length_and_missing_ones_are_refused(tmp_path: Path):
    folder = lay(tmp_path / "data", told(*SENTENCES))
    one = file_of(folder, "female", "test", "ar", "ar")
    one.write_text(one.read_text(encoding="utf-8") + "<F>هي</F>\n", encoding="utf-8")
    with pytest.raises(InputError, match=f"11 lines in {one.name}"):
        read_sentences(folder, ["en", "ar"])
    one.unlink()
    with pytest.raises(InputError, match=one.name):
        read_sentences(folder, ["en", "ar"])
    with pytest.raises(InputError, match="besides English"):
        read_sentences(folder, ["en"])


def test_files_without_tags_are_refused_with_the_reason(tmp_path: Path):
    bare = {split: [tuple(f"word {i}" for i in range(4))] for split in SPLITS}
    with pytest.raises(InputError, match="no word is tagged"):
        read_sentences(lay(tmp_path / "data", bare), ["en", "ar"])
