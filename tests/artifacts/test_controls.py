"""Controls of a study: studies that nobody wrote, which share with it what they leave as it is."""

from pathlib import Path

import pytest
import yaml
from checkouts import TOY

from crosslens.artifacts.table import Studies, Table
from crosslens.data.languages import language_of
from crosslens.errors import InputError
from crosslens.store.digests import FileDigests
from crosslens.study.controls import CONTROLS
from crosslens.study.settings import load_yaml
from crosslens.study.study import Study

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "workflow/schemas/study.schema.yaml"
BUILT = [name for name in CONTROLS if name != "frozen_decoder"]


def table(folder: Path, monkeypatch, **more) -> Table:
    monkeypatch.chdir(ROOT)
    text = yaml.safe_dump({**TOY, "controls": BUILT, **more}, allow_unicode=True)
    (folder / "mine.yaml").write_text(text, encoding="utf-8")
    digests = FileDigests(folder / "files.json")
    return Table(Studies(lambda name: Study(name, folder, SCHEMA, digests)))


def keys(made: Table, study: str, kind: str) -> dict[tuple, str]:
    return {
        tuple(value for name, value in w.items() if name != "study"): made.key(k, w)
        for k, w in made.at({"study": study}).every(kind)
    }


def test_what_the_schema_offers_are_the_controls_that_there_are():
    properties = load_yaml(SCHEMA)["properties"]
    assert properties["controls"]["items"]["enum"] == list(CONTROLS)


def test_a_control_shares_what_it_leaves_as_it_is(tmp_path, monkeypatch):
    made = table(tmp_path, monkeypatch)
    plain, drawn, latin, mixed = (
        keys(made, f"mine{n}", "activations") for n in ("", *(f"__{c}" for c in BUILT))
    )
    assert not {*plain.values()} & {*drawn.values()} and not {*plain.values()} & {*mixed.values()}
    shared = {place for place, key in plain.items() if latin[place] == key}
    assert shared == {place for place in plain if "en" in place} and shared != {*plain}
    for control in BUILT:
        assert keys(made, f"mine__{control}", "source") == keys(made, "mine", "source")
        assert keys(made, f"mine__{control}", "dataset").keys() == keys(made, "mine", "dataset").keys()
    assert keys(made, "mine__random_init", "dataset") == keys(made, "mine", "dataset")


def test_another_table_of_latin_letters_reads_the_texts_anew(tmp_path, monkeypatch):
    """The tables of the dataset follow the language's code, activations what it makes of their texts."""
    studies = {"mine": None, "mine__romanised": "ar"}
    before = {study: keys(table(tmp_path, monkeypatch), study, "activations") for study in studies}
    monkeypatch.setitem(language_of("ar").romanisation, "ص", "x")
    for study, language in studies.items():
        old, new = before[study], keys(table(tmp_path, monkeypatch), study, "activations")
        assert {place for place in old if old[place] != new[place]} == {p for p in old if language in p}


def test_the_page_needs_the_controls_and_a_control_has_none_of_its_own(tmp_path, monkeypatch):
    made = table(tmp_path, monkeypatch)
    everything = made.everything("mine")
    assert {w["study"] for _, w in everything} == {"mine", *(f"mine__{control}" for control in BUILT)}
    for control in BUILT:
        alone = made.everything(f"mine__{control}")
        assert {w["study"] for _, w in alone} == {f"mine__{control}"}
        assert not {"controls", "generated", "stereotype", "swept_sae"} & {kind for kind, _ in alone}
    # Without them nothing changes for the rest.
    assert {w["study"] for _, w in table(tmp_path, monkeypatch, controls=[]).everything("mine")} == {"mine"}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"controls": ["romanized"]}, ["key controls.0", "'romanized'", "romanised"]),
        ({"controls": ["romanised"], "languages": ["en"]}, ["key controls", "romanised", "Latin letters"]),
        ({"text": "upside_down"}, ["key text", "romanised"]),
        (
            {"controls": ["random_init"], "model": {**TOY["model"], "device_map": "auto"}},
            ["key model.device_map", "leave it out"],
        ),
    ],
)
def test_what_cannot_be_taken_away(tmp_path, monkeypatch, more, said):
    with pytest.raises(InputError) as told:
        table(tmp_path, monkeypatch, **more).studies["mine"]
    assert all(words in str(told.value) for words in said), told.value


def test_a_name_that_only_looks_like_a_control(tmp_path, monkeypatch):
    studies = table(tmp_path, monkeypatch).studies
    with pytest.raises(InputError, match="no file"):
        studies["mine__upside_down"]
    with pytest.raises(InputError, match="no file"):
        studies["yours__shuffled"]
    (tmp_path / "mine__shuffled.yaml").write_text(yaml.safe_dump(TOY, allow_unicode=True), encoding="utf-8")
    assert studies["mine__shuffled"].control is None, "a file of that name is the study"
