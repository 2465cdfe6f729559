"""Words, their spans and their readings; whole words only; and what a further language takes."""

import ast
import sys
import unicodedata
from pathlib import Path

import pytest
from data_tables import RELAXED
from hypothesis import given
from hypothesis import strategies as st

import crosslens
from crosslens.data.labels import gendered_spans
from crosslens.data.languages import PACKAGE, RIGHT_TO_LEFT, language_of
from crosslens.data.languages.ar import ARTICLE
from crosslens.data.languages.base import Candidate
from crosslens.data.lexicons import load_lexicon
from crosslens.errors import InputError
from crosslens.figures import style
from crosslens.figures.style import colour
from crosslens.registry import names
from crosslens.summary.names import corpus_name, direction, language_name
from crosslens.tokens.text_map import map_text

ARABIC = language_of("ar")

ALPHABET = "ابةتكلوفسهيمنأؤىـًَّ abc'-’ .,،؟\u200d\u200f"


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("The man's dog.", "en", ["The", "man's", "dog"]),
        ("a man-made lake — she said 'he'", "en", ["a", "man-made", "lake", "she", "said", "he"]),
        ("he/she, snake_case", "en", ["he", "she", "snake", "case"]),
        ("رَجُلٌ يقرأُ كِتابًا.", "ar", ["رَجُلٌ", "يقرأُ", "كِتابًا"]),
        ("رجـــل، وامرأة؟", "ar", ["رجـــل", "وامرأة"]),
        ("رجل-امرأة", "ar", ["رجل", "امرأة"]),
        ("लड़की किताब", "hi", ["लड़की", "किताब"]),
        ("", "en", []),
    ],
)
def test_words(text, language, expected):
    assert [word.text for word in language_of(language).words(text)] == expected


@given(st.one_of(st.text(), st.text(ALPHABET)), st.sampled_from(["en", "ar", "fr"]))
@RELAXED
def test_spans_are_those_of_the_text_and_lose_no_letter(text, language):
    found = language_of(language).words(text)
    assert all(text[word.start : word.end] == word.text for word in found)
    assert all(a.end <= b.start for a, b in zip(found, found[1:], strict=False))
    covered = {i for word in found for i in range(word.start, word.end)}
    letters = {i for i, c in enumerate(text) if c.isalnum()}
    assert letters <= covered


@pytest.mark.parametrize(
    ("first", "second"),
    [("رَجُلٌ", "رجل"), ("رجـــل", "رجل"), ("إمرأة", "امراة"), ("فتى", "فتي"), ("أُمّ", "ام"), ("ﻻ", "لا")],
)
def test_spellings_that_are_one_word(first, second):
    assert ARABIC.normalise(first) == ARABIC.normalise(second)


def test_ta_marbuta_stays_apart_from_ha():
    assert ARABIC.normalise("ممرضة") != ARABIC.normalise("ممرضه")


@given(st.text(ALPHABET))
@RELAXED
def test_normalising_twice_changes_nothing(text):
    once = ARABIC.normalise(text)
    assert ARABIC.normalise(once) == once
    assert not any(unicodedata.category(c) == "Mn" for c in once)


@pytest.mark.parametrize(
    ("word", "candidate"),
    [
        ("والممرضة", Candidate("ممرضة", ("و", ARTICLE), "")),
        ("للرجل", Candidate("رجل", ("ل", ARTICLE), "")),
        ("وبالسيارة", Candidate("سيارة", ("و", "ب", ARTICLE), "")),
        ("فسيعمل", Candidate("يعمل", ("ف", "س"), "")),
        ("كتابها", Candidate("كتاب", (), "ها")),
        ("سيارته", Candidate("سيارة", (), "ه")),
        ("وابنتهم", Candidate("ابنة", ("و",), "هم")),
        ("رجلاً", Candidate("رجل", (), "ا")),
        ("بدراجة", Candidate("دراجة", ("ب",), "")),
        ("للغة", Candidate("لغة", ("ل", ARTICLE), "")),
        ("وللغة", Candidate("لغة", ("و", "ل", ARTICLE), "")),
        ("للرجل", Candidate("رجل", ("ل", ARTICLE), "")),
        ("شاهدني", Candidate("شاهد", (), "ني")),
        ("ليساعدني", Candidate("يساعد", ("ل",), "ني")),
        ("أتكتب", Candidate("تكتب", ("أ",), "")),
        ("أوليس", Candidate("ليس", ("أ", "و"), "")),
        ("أبالسيارة", Candidate("سيارة", ("أ", "ب", ARTICLE), "")),
    ],
)
def test_a_reading_of_an_arabic_word(word, candidate):
    assert candidate in ARABIC.candidates(word)


def test_the_whole_word_comes_first_and_the_article_excludes_possessives():
    assert ARABIC.candidates("والدها")[0] == Candidate("والدها", (), "")
    assert all(c.suffix == "" for c in ARABIC.candidates("الكتابها") if ARTICLE in c.prefixes)


@given(st.text("ابتةكلوفسهيمنأ", min_size=1, max_size=12))
@RELAXED
def test_readings_put_together_again_are_the_word(word):
    for stem, prefixes, suffix in ARABIC.candidates(word):
        prefix, stems = "".join(prefixes), {stem}
        if prefixes[-2:] == ("ل", ARTICLE):
            prefix = prefix.replace("لال", "لل", 1)
            stems |= {stem.removeprefix("ل")}
        if stem.endswith("ة") and suffix:
            stems |= {stem[:-1] + "ت"}
        assert word in {prefix + form + suffix for form in stems}


@pytest.mark.parametrize(
    ("written", "wanted", "language", "same"),
    [
        ("أمام", "أم", "ar", False),
        ("والأم", "أم", "ar", True),
        ("بِالمَرأةِ", "المرأة", "ar", True),
        ("للمرأة", "المرأة", "ar", True),
        ("رجـــل", "رَجُل", "ar", True),
        ("امرأة", "امرأه", "ar", False),
        ("ممرضته", "ممرضة", "ar", True),
        # a door, a laptop, August, a mirror, mister, a girl, a dog, an idea
        ("باب", "أب", "ar", False),
        ("لاب", "أب", "ar", False),
        ("آب", "أب", "ar", False),
        ("مرآة", "مرأة", "ar", False),
        ("سيد", "يد", "ar", False),
        ("وسيده", "يد", "ar", False),
        ("بنت", "نت", "ar", False),
        ("كلبها", "لب", "ar", False),
        ("فكرة", "كرة", "ar", False),
        ("والكرة", "كرة", "ar", True),
        ("وكرة", "كرة", "ar", True),
        ("للأب", "الأب", "ar", True),
        ("الاب", "أب", "ar", True),
        ("لرجل", "رجل", "ar", True),
        ("لامرأة", "امرأة", "ar", True),
        ("ستحمل", "تحمل", "ar", True),
        ("بيده", "بيده", "ar", True),
        ("و", "و", "ar", True),
        ("the", "he", "en", False),
        ("Woman's", "woman", "en", True),
        ("person", "son", "en", False),
    ],
)
def test_whole_words_only(written, wanted, language, same):
    assert language_of(language).is_word(written, wanted) is same


MADE_UP = """
from crosslens.data.languages.base import Language

LANGUAGE = Language(
    name="Xish (xx)",
    joiners="·",
    proclitics=(("va",), ("da", "bi"), ("ul",)),
    enclitics=("im", "mi"),
    shortest_stem=2,
)
"""
MADE_UP_WORDS = """
schema: 1
kind: gender_lexicon
language: "xx"
groups:
- {name: people, prefixes: [va, ul], suffixes: [im], female: [tora], male: [Bel·kan]}
"""


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """A file for xx in the package, and a lexicon: all that the language takes."""
    import crosslens.data.languages as package

    (tmp_path / "xx.py").write_text(MADE_UP, encoding="utf-8")
    (tmp_path / "gender_xx.yaml").write_text(MADE_UP_WORDS, encoding="utf-8")
    monkeypatch.setattr(package, "__path__", package.__path__ + [str(tmp_path)])
    monkeypatch.setattr(package.__spec__, "submodule_search_locations", package.__path__)
    language_of.cache_clear()
    yield tmp_path / "gender_xx.yaml"
    language_of.cache_clear()
    sys.modules.pop("crosslens.data.languages.xx", None)


def test_a_file_and_a_lexicon_make_a_language(made_up):
    lexicon = load_lexicon(made_up, "xx")
    text = "Vaultora, bel·kanim; datora toram."
    assert [word.text for word in language_of("xx").words(text)] == [
        "Vaultora",
        "bel·kanim",
        "datora",
        "toram",
    ]
    # of the clitics the group allows some, so datora is no tora; a suffix that is none stays
    assert gendered_spans(text, "xx", lexicon) == [(0, 8, "female"), (10, 19, "male")]
    made_up.write_text(MADE_UP_WORDS.replace("[im]", "[os]"), encoding="utf-8")
    with pytest.raises(InputError, match="suffixes os in group people.*expected of im mi"):
        load_lexicon(made_up)
    assert language_name("xx") == "Xish (xx)" and corpus_name("xx") == "Xish SAE" and direction("xx") == "ltr"


def test_its_words_are_taken_apart_into_tokens_and_found_again(made_up):
    found = map_text("Vaultoraim", [0, 3, 8], [3, 8, 10], "xx")
    cut = {tuple(part.form for part in reading.segments): reading for reading in found.readings(0)}
    assert list(cut)[0] == ("vaultoraim",) and cut["va", "ul", "tora", "im"].candidate.stem == "tora"
    places = [found.tokens_in(part.start, part.end) for part in cut["va", "ul", "tora", "im"].segments]
    assert places == [(0,), (0, 1), (1,), (2,)]
    # the slots are in order, and none is left with less than two letters
    assert {reading.candidate.prefixes for reading in found.readings(0)} == {(), ("va",), ("va", "ul")}
    assert language_of("xx").is_word("Vaultoraim", "Tora") and not language_of("xx").is_word(
        "ulvatora", "tora"
    )


@pytest.mark.parametrize(
    ("code", "rtl"), [("fr", False), ("fa", True), ("he", True), ("ur", True), ("hi", False)]
)
def test_a_code_without_a_file_is_a_plain_language(tmp_path, code, rtl):
    plain = language_of(code)
    assert plain.name == code and plain.right_to_left is rtl and not plain.has_clitics
    assert plain.candidates("ÉTÉ") == [Candidate("été", (), "")] and plain.candidates("") == []
    (tmp_path / "words.yaml").write_text(
        f'schema: 1\nkind: gender_lexicon\nlanguage: "{code}"\ngroups:\n- {{name: g, female: [Été]}}\n',
        encoding="utf-8",
    )
    lexicon = load_lexicon(tmp_path / "words.yaml", code)
    assert gendered_spans("L'été, étés", code, lexicon) == [(2, 5, "female")]


def test_other_languages_have_colours_of_their_own():
    corpora = ["joint", *names(PACKAGE), "fr", "de"]
    shades = [colour(corpus, corpora) for corpus in corpora]
    assert len(set(shades)) == len(shades)
    assert set(shades) <= {value for value in vars(style).values() if str(value).startswith("#")} | set(
        style.SPARE
    )


def test_no_code_outside_asks_which_language_it_is():
    """No literal of a language's code, so no table by them; and no comparison with one anywhere."""
    source = Path(crosslens.__file__).parent
    codes = {*names(PACKAGE), *RIGHT_TO_LEFT}
    # the embedded model's own world; keys of the tables in the package emoji; names of MT-GenEval's files
    exempt = {
        "planted",
        "certificate",
        "study/sources/planted.py",
        "study/sources/names.py",
        "sources/emoji_names.py",
    }
    exempt.add("sources/mt_geneval.py")
    for file in source.rglob("*.py"):
        place = file.relative_to(source)
        if "languages" in place.parts:
            continue
        nodes = [*ast.walk(ast.parse(file.read_bytes()))]
        if place.parts[0] in exempt or place.as_posix() in exempt:
            asking = [node for node in nodes if isinstance(node, ast.Compare | ast.MatchValue)]
            nodes = [part for node in asking for part in ast.walk(node)]
        literals = {node.value for node in nodes if isinstance(node, ast.Constant)}
        assert not codes & {value for value in literals if isinstance(value, str)}, place
