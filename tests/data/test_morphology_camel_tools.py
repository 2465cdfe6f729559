"""CAMeL Tools as the layer of Arabic: a stand-in of its documented interface, and what is said where it is not there."""

import sys
from types import ModuleType

import pytest

from crosslens.data.morphology import ar_camel_tools, morphology_of
from crosslens.data.morphology.base import CERTAIN, FEMININE, MASCULINE, UNKNOWN, Analysis
from crosslens.errors import InputError


def reading(lex, gen, *, pos="noun", likely=-3.0, **more):
    """One analysis, with the features of docs/source/reference/camel_morphology_features.rst of camel_tools 1.5."""
    nothing = {"prc3": "0", "prc2": "0", "prc1": "0", "prc0": "0", "enc0": "0"}
    return (
        {
            "diac": lex,
            "lex": lex,
            "pos": pos,
            "gen": gen,
            "form_gen": "m",
            "num": "s",
            "form_num": "s",
            "rat": "n",
        }
        | nothing
        | {"source": "lex", "pos_lex_logprob": likely, "stt": "i", "cas": "u"}
        | more
    )


READINGS = {
    "شمس": [reading("شَمْس", "f")],
    "خليفة": [reading("خَلِيفَة", "m", form_gen="f", rat="y")],
    "وبمدرسته": [reading("مَدْرَسَة", "f", prc2="wa_conj", prc1="bi_prep", enc0="3ms_poss", source="spvar")],
    "السيارات": [reading("سَيّارَة", "f", num="p", prc0="Al_det")],
    # the likelier reading is a verb's
    "حمل": [reading("حَمَل", "m", pos="verb", likely=-2.0, rat="na"), reading("حِمْل", "m", likely=-5.0)],
    # of two as likely readings one is feminine
    "عجوز": [reading("عَجُوز", "f", rat="y"), reading("عَجُوز", "m", rat="y")],
    "في": [reading("فِي", "na", pos="prep", rat="na", num="na")],
    "أزرق": [reading("أَزْرَق", "m", pos="adj")],
    "زنجبيل": [reading("زنجبيل", "m", pos="noun_prop", source="backoff")],
    # databases without probabilities
    "باب": [reading("باب", "m", likely=None)],
}


@pytest.fixture
def installed(monkeypatch):
    """The package and its database, as far as the adapter asks them."""

    class MorphologyDB:
        @staticmethod
        def builtin_db(db_name=None, flags="a"):
            return MorphologyDB()

    class Analyzer:
        def __init__(self, db, backoff="NONE"):
            assert isinstance(db, MorphologyDB) and backoff == "NONE"

        def analyze(self, word):
            return READINGS.get(word, [])

    for name, members in (
        ("camel_tools", {}),
        ("camel_tools.morphology", {}),
        ("camel_tools.morphology.analyzer", {"Analyzer": Analyzer}),
        ("camel_tools.morphology.database", {"MorphologyDB": MorphologyDB}),
    ):
        module = ModuleType(name)
        vars(module).update(members, __path__=[])
        monkeypatch.setitem(sys.modules, name, module)
    ar_camel_tools._analyser.cache_clear()
    yield MorphologyDB
    ar_camel_tools._analyser.cache_clear()


def test_words_are_taken_apart_and_told_by_the_likeliest_reading(installed):
    layer = morphology_of("ar", "camel_tools")
    told = {word: layer.analyse(word) for word in (*READINGS, "غضنفر")}
    assert {word: (found.part, found.gender, found.animate) for word, found in told.items()} == {
        "شمس": ("noun", FEMININE, False),
        "خليفة": ("noun", MASCULINE, True),
        "وبمدرسته": ("noun", FEMININE, False),
        "السيارات": ("noun", FEMININE, False),
        "حمل": ("verb", MASCULINE, None),
        "عجوز": ("noun", UNKNOWN, True),
        "في": ("other", UNKNOWN, None),
        "أزرق": ("adjective", MASCULINE, None),
        "زنجبيل": ("unknown", UNKNOWN, None),
        "باب": ("noun", MASCULINE, False),
        "غضنفر": ("unknown", UNKNOWN, None),
    }
    school = told["وبمدرسته"]
    assert (school.prefixes, school.stem, school.suffix) == (("wa_conj", "bi_prep"), "مَدْرَسَة", "3ms_poss")
    assert told["السيارات"].number == "plural" and told["شمس"].number == "singular"
    certain = {word for word, found in told.items() if found.source in CERTAIN}
    assert certain == {"شمس", "خليفة", "وبمدرسته", "السيارات", "أزرق", "باب"} and told["حمل"].source == "verb"
    assert all(isinstance(found, Analysis) and found.surface == word for word, found in told.items())


def test_a_missing_database_and_a_missing_package_are_told_with_what_installs_them(installed, monkeypatch):
    def nowhere(db_name=None, flags="a"):
        raise FileNotFoundError("morphology.db")

    monkeypatch.setattr(installed, "builtin_db", staticmethod(nowhere))
    layer = morphology_of("ar", "camel_tools")
    with pytest.raises(InputError, match="gender.morphology.*morphology.db.*camel_data -i light"):
        layer.analyse("باب")
    for name in [name for name in sys.modules if name.partition(".")[0] == "camel_tools"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match="package camel-tools.*pip install camel-tools"):
        layer.analyse("باب")


def test_only_arabic_has_it_and_nothing_is_imported_before_a_word_is_asked_for():
    assert morphology_of("en", "camel_tools") is None and morphology_of("en") is None
    assert morphology_of("ar") is not morphology_of("ar", "camel_tools")
    assert morphology_of("ar", "other") is None
