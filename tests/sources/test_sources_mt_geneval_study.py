"""MT-GenEval as the source of a study: the table that it becomes, and what decides each part of it."""

import json
from pathlib import Path

import pytest
from catalogue_files import write_catalogues
from mt_geneval_files import lay, planted_sentences
from study_folder import changed, read, write_files

from crosslens.artifacts.stages.gender import paired
from crosslens.data.captions import read_rows
from crosslens.errors import InputError
from crosslens.planning.samples import known_warnings
from crosslens.sources.mt_geneval import GENDERS
from crosslens.sources.mt_geneval_table import collect_mt_geneval
from crosslens.tables.documents import read_json

MANY = {"dev": planted_sentences(20), "test": planted_sentences(12, first=5000)}
PAIRS = {
    f"Show this {word} again": f"اعرض هذه {arabic} مرة"
    for word, arabic in zip("abcdef", "ابتثجح", strict=True)
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with a model, the data set's files in a clone, and catalogues of messages."""
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path)
    lay(tmp_path / "data/mt_geneval", MANY, cloned=True)
    write_catalogues(tmp_path / "data/messages", {"p": PAIRS})
    return tmp_path


def settings(**changes):
    source = {"folder": "data/mt_geneval"} | changes
    told = changed("source", {"mt_geneval": source}) | {"prompts": {"en": "", "ar": ""}}
    told["gender"] = {"conditions": ["caption"]}
    told["activations"] = {"part_rows": 10}
    del told["lexicons"]
    return told


def messages(count: int) -> dict:
    return {"folder": "data/messages", "count": count, "seed": 0}


def test_the_table_is_what_the_study_says_it_will_be(folder):
    """Its rows in their order, their texts, genders and splits; label words are the tagged ones, messages train alone."""
    pytest.importorskip("polib", reason="needs the package polib")
    study = read(settings(messages=messages(4)))
    collect_mt_geneval(
        folder / "out", folder=Path("data/mt_geneval"), languages=["en", "ar"], messages=messages(4)
    )
    rows = read_rows(folder / "out/captions.csv", ["en", "ar"])
    assert len(rows) == study.source.n_rows == 2 * 32 + 4 and len(study.parts) == 7
    for language in ("en", "ar"):
        told = study.source.texts(language).rows
        assert [
            (row.sample_id, row.captions[language], row.image_id, row.gender, row.split) for row in rows
        ] == [(text.sample_id, text.caption, text.unit, text.gender, text.split) for text in told]
    shares = study.shares
    assert shares == {name: sum(row.split == name for row in rows) / 68 for name in shares}
    assert {(row.split, row.gender, row.group) for row in rows[-4:]} == {("train", "unknown", "")}
    assert all(not any(row.label_spans.values()) for row in rows[-4:])
    first, second = rows[:2]
    assert (first.gender, second.gender) == tuple(GENDERS) and first.group == second.group == "test_0001"
    words = [first.captions["en"][a:b] for a, b in first.label_spans["en"]]
    assert words == ["woman", "her"] and "<" not in first.captions["en"]
    said = read_json(folder / "out/source.json", "mt_geneval_source")
    assert said["messages"] == 4 and said["packages"] == [{"package": "p", "version": "1", "rows": 4}]
    assert "CC-BY-SA-3.0" in said["licences"]["sentences"] and str(folder) not in json.dumps(said)


def test_a_part_follows_its_own_sentences_and_messages(folder):
    """A word of line 2 of dev (rows 27 and 28) is news to part 2 alone, and more messages to the parts that they are in."""
    before = read(settings(messages=messages(4)))
    blocks, whole = [before.block_identity(part, "en") for part in before.parts], before.source.identity
    path = folder / "data/mt_geneval/data/sentences/dev/annotated/geneval-sentences-masculine-dev.en_ar.en"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[1] += " again"
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    after = read(settings(messages=messages(4)))
    assert [i for i, part in enumerate(after.parts) if after.block_identity(part, "en") != blocks[i]] == [2]
    assert [before.block_identity(part, "ar") for part in before.parts] == [
        after.block_identity(part, "ar") for part in after.parts
    ]
    assert whole != after.source.identity
    more = read(settings(messages=messages(6)))
    assert [more.block_identity(part, "en") for part in more.parts[:6]] == [
        after.block_identity(part, "en") for part in after.parts[:6]
    ]
    assert more.block_identity("0006", "en") != after.block_identity("0006", "en")


def test_the_identity_is_that_of_the_files_wherever_they_are(folder):
    told = read(settings()).source.identity
    lay(folder / "flat", MANY)
    assert read(settings(folder="flat")).source.identity == told
    assert read(settings() | {"languages": ["ar", "en"]}).source.identity != told


def test_masked_words_are_marked_and_genders_paired_before_anything_runs(folder):
    study = read(settings())
    assert study.source.tagged == {"en": 64, "ar": 64}
    assert {warned.code for warned in known_warnings(study)} == set()

    class Here:
        pass

    place = Here()
    place.study = study
    assert paired(place)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"languages": ["en"]}, "a language besides English"),
        ({"languages": ["en", "fr"], "prompts": {"en": "", "fr": ""}}, "en_fr.en.*clone github.com"),
        ({"source": {"mt_geneval": {"folder": "nowhere"}}}, "key source.mt_geneval.folder.*nowhere"),
        (
            {
                "languages": ["en", "fr"],
                "prompts": {"en": "", "fr": ""},
                "source": {"mt_geneval": {"folder": "data/mt_geneval", "messages": messages(2)}},
            },
            "messages, which are English and Arabic, and the languages fr",
        ),
    ],
)
def test_what_does_not_fit_is_told(folder, changes, said):
    with pytest.raises(InputError, match=said):
        read(settings() | changes)


def test_three_languages_are_a_study(folder):
    french = {
        split: [(*each[:2], f"<F>Elle</F> {n}", f"<M>Il</M> {n}") for n, each in enumerate(sentences)]
        for split, sentences in MANY.items()
    }
    lay(folder / "data/mt_geneval", french, "fr", cloned=True)
    told = settings() | {"languages": ["en", "ar", "fr"], "prompts": {"en": "", "ar": "", "fr": ""}}
    study = read(told)
    assert study.source.n_rows == 64
    collect_mt_geneval(
        folder / "out", folder=Path("data/mt_geneval"), languages=study.languages, messages=None
    )
    rows = read_rows(folder / "out/captions.csv", study.languages)
    assert rows[0].captions["fr"] == "Elle 0" and rows[1].label_spans["fr"] == [[0, 2]]
