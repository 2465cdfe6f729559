"""Of three languages those are compared that the study names, two by two, in every analysis of two languages."""

import sys
from pathlib import Path

import pytest
import yaml

from crosslens.artifacts.table import Studies, Table
from crosslens.errors import InputError
from crosslens.pooling.languages import pairs_among
from crosslens.store.digests import FileDigests
from crosslens.study.checks import number_of_claims
from crosslens.study.study import Study

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
from three_languages import BACKWARDS, STUDY, write_lexicon

ROOT = Path(__file__).parents[2]
OF_TWO = ("representations", "retrieval", "gender_transfer", "sharing", "cross_lingual", "matching")
"""Kinds of a site (and SAE) that compare languages."""
ONCE = ("stereotype",)
NAMED = [("en", "ar"), ("ar", BACKWARDS)]
FIRST = [("en", "ar"), ("en", BACKWARDS)]


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A function to the table of the study `three` with other settings."""
    monkeypatch.chdir(ROOT)
    write_lexicon(ROOT / STUDY["lexicons"]["en"], tmp_path / "lexicon.yaml")
    lexicons = STUDY["lexicons"] | {BACKWARDS: str(tmp_path / "lexicon.yaml")}

    def made(**changed):
        (tmp_path / "three.yaml").write_text(yaml.safe_dump(STUDY | {"lexicons": lexicons} | changed))
        schema, digests = ROOT / "workflow/schemas/study.schema.yaml", FileDigests(tmp_path / "files.json")
        study = Study("three", tmp_path, schema, digests, data_needed=False)
        return Table(Studies(lambda name: study, {"three": 1}))

    return made


def of(table, kind):
    """The places of the artifacts of a kind, and their parameters."""
    return [(w, table.kinds[kind].params(table.at(w))) for _, w in table.at({"study": "three"}).every(kind)]


@pytest.mark.parametrize(("pairs", "expected"), [(STUDY["pairs"], NAMED), (None, FIRST)])
def test_the_pairs_reach_every_analysis_of_two_languages(table, pairs, expected):
    made = table(pairs=pairs)
    for kind in (*OF_TWO, *ONCE, "dimensions"):
        found = of(made, kind)
        assert found and all(params["pairs"] == expected for _, params in found), kind
    (sharing, _), *_ = of(made, "sharing")
    read = {w["language"] for kind, w in made.kinds["sharing"].needs(made.at(sharing)) if kind == "codes"}
    assert read == set(STUDY["languages"]), "ν and entropy are over all languages"
    kinds = {kind for kind, _ in made.everything("three")}
    assert {*OF_TWO, *ONCE, "grammar", "divergence", "descriptions", "promoted", "map_figures"} <= kinds


def test_saes_are_matched_where_both_languages_of_a_pair_have_their_own(table):
    without_english = STUDY["sae"] | {"corpora": ["joint", "ar", BACKWARDS]}
    assert not of(made := table(sae=without_english, pairs=None), "matching")
    study, other = made.studies["three"], table(sae=without_english)
    ((_, params),) = of(other, "matching")
    assert params["languages"] == ["ar", BACKWARDS] and params["pairs"] == [("ar", BACKWARDS)]
    more = number_of_claims(other.studies["three"].settings, other.studies["three"].source)
    assert more == number_of_claims(study.settings, study.source) + 2


def test_pairs_are_of_languages_that_are_there():
    assert pairs_among(["en", "ar", "fr"], None) == [("en", "ar"), ("en", "fr"), ("ar", "fr")]
    assert pairs_among(["en", "ar", "fr"], [["fr", "en"]]) == [("fr", "en")] and pairs_among(["en"], []) == []
    with pytest.raises(InputError, match="found.*de"):
        pairs_among(["en", "ar"], [("en", "de")])


def test_whose_genders_of_words_is_in_the_keys_of_grammar_alone(table):
    """Arabic alone has an adapter, and none is imported to know that."""
    ours, theirs = table(), table(gender=STUDY["gender"] | {"morphology": "camel_tools"})
    places = [w for w, _ in of(ours, "grammar")]
    assert {w["language"] for w in places} == {"ar"} and places == [w for w, _ in of(theirs, "grammar")]
    assert not {ours.own("grammar", w) for w in places} & {theirs.own("grammar", w) for w in places}
    modules = theirs.code("grammar", places[0]).modules
    assert "crosslens.data.morphology.ar_camel_tools" in modules and "camel_tools" not in sys.modules
    assert "crosslens.data.morphology.ar_camel_tools" not in ours.code("grammar", places[0]).modules
    for kind in ("gender", "features"):
        assert [ours.own(kind, w) for w, _ in of(ours, kind)] == [
            theirs.own(kind, w) for w, _ in of(theirs, kind)
        ]
