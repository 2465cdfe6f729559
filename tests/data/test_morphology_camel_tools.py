"""CAMeL Tools as the layer of Arabic: a stand-in of its documented interface, and what is said where it is not there."""

import hashlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from crosslens.artifacts.table import Studies, Table
from crosslens.data.morphology import ar_camel_tools, morphology_of
from crosslens.data.morphology.base import CERTAIN, FEMININE, MASCULINE, UNKNOWN, Analysis
from crosslens.errors import InputError
from crosslens.store.digests import FileDigests
from crosslens.study.study import Study

ROOT = Path(__file__).parents[2]
CATALOGUE = {
    "components": {
        "MorphologyDB": {
            "default": "calima-msa-r13",
            "datasets": {
                "calima-msa-r13": {"path": "morphology_db/calima-msa-r13"},
                "calima-egy-r13": {"path": "morphology_db/calima-egy-r13"},
            },
        }
    }
}
"""As far as camel_tools.data.catalogue (1.5) reads of its own."""


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


def test_its_database_is_part_of_the_keys_of_what_it_tells(installed, tmp_path, monkeypatch):
    """Where the package looks for it: another one under the same version of the package tells other genders."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("CAMELTOOLS_DATA", str(tmp_path / "data of camel"))
    database = tmp_path / "data of camel/data/morphology_db/calima-msa-r13/morphology.db"
    schema = ROOT / "workflow/schemas/study.schema.yaml"
    settings = yaml.safe_load((ROOT / "config/studies/planted.yaml").read_text(encoding="utf-8"))
    settings["gender"] = {**(settings.get("gender") or {}), "morphology": "camel_tools"}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8")

    def told() -> tuple[dict[str, str], dict[str, str | None]]:
        """The keys of what grammar is told of, by language, and the files that its jobs compare."""
        digests = FileDigests(tmp_path / "files.json")
        table = Table(Studies(lambda name: Study(name, tmp_path, schema, digests), {"own": 1}))
        places = table.at({"study": "own"}).every("grammar")
        keys = {place["language"]: table.key("grammar", place) for _, place in places}
        (arabic,) = [place for _, place in places if place["language"] == "ar"][:1]
        job = json.loads(
            table.job("analyse_codes", {name: arabic[name] for name in table.per("analyse_codes")})
        )
        return keys, {file: held for file, held in job["files"].items() if "camel" in file}

    missing = told()
    database.parent.mkdir(parents=True)
    (tmp_path / "data of camel/catalogue.json").write_text(json.dumps(CATALOGUE), encoding="utf-8")
    database.write_text("one")
    one = told()
    database.write_text("two")
    two = told()
    assert len({keys["ar"] for keys, _ in (missing, one, two)}) == 3
    assert [*one[1]] == [str(database.parents[3] / "catalogue.json"), str(database)]
    assert one[1][str(database)] == hashlib.sha256(b"one").hexdigest() and [*missing[1].values()] == [None]


def test_only_arabic_has_it_and_nothing_is_imported_before_a_word_is_asked_for():
    assert morphology_of("en", "camel_tools") is None and morphology_of("en") is None
    assert morphology_of("ar") is not morphology_of("ar", "camel_tools")
    assert morphology_of("ar", "other") is None
