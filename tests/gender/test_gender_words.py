"""The bag of words: it reads what is left in a text, no more and no less."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import CountVectorizer

import crosslens.gender.probes
from crosslens.data.dataset import build_dataset
from crosslens.gender.words import counted, measure_words, unmasked
from crosslens.planted.source import draw_source
from crosslens.tables.documents import read_json, write_table

LEXICONS = Path(__file__).parents[2] / "resources/lexicons"
PROMPTS = {"en": "Describe the picture.", "ar": "صف الصورة."}


@pytest.fixture(autouse=True)
def fewer_shuffles(monkeypatch):
    """Of train labels and of categories: they are shown beside a probe, and decide nothing of it."""
    for name in ("SHUFFLES", "CONTROLS"):
        monkeypatch.setattr(crosslens.gender.probes, name, 1)


@pytest.fixture(scope="module")
def captions(tmp_path_factory):
    """The embedded study's captions: 400 of its images."""
    folder = tmp_path_factory.mktemp("source")
    draw_source(folder, images=400, seed=7)
    return folder / "captions.csv"


def leaks(captions, folder, *, mask, language="ar"):
    """The bag of words of a study of these captions with the general lexicon: condition -> result."""
    folder.mkdir()
    build_dataset(
        captions=captions,
        images=None,
        columns=None,
        prompts=PROMPTS,
        lexicons={code: LEXICONS / f"gender_{code}.yaml" for code in PROMPTS},
        splits={"train": 0.5, "select": 0.2, "test": 0.3},
        seed=0,
        languages=list(PROMPTS),
        out={language: folder / "table.parquet"},
        out_summary=folder / "summary.json",
        mask=mask,
    )
    conditions = ["prompt", "caption", "caption_whole"]
    settings = {"language": language, "conditions": conditions, "alpha": 0.05, "seed": 0}
    measure_words(dataset=folder / "table.parquet", out=folder / "probe.json", **settings)
    return read_json(folder / "probe.json", "probe")["conditions"], read_json(
        folder / "summary.json", "dataset_summary"
    )


def test_arabic_captions_leak_unless_what_agrees_is_masked(captions, tmp_path):
    """Verbs, occupations and possessives tell the gender perfectly; the words left without them tell nothing."""
    before, summary = leaks(captions, tmp_path / "before", mask="label_words")
    assert before["caption"]["auroc"]["value"] > 0.99 and before["caption"]["leaks"] is True
    assert summary["lexicon_hits"]["ar"]["agreeing"] == 0 and summary["mask"] == "label_words"
    after, summary = leaks(captions, tmp_path / "after", mask="agreement")
    assert after["caption"]["auroc"]["low"] < 0.5 < after["caption"]["auroc"]["high"]
    assert after["caption"]["leaks"] is False and after["caption_whole"]["leaks"] is True
    assert after["prompt"]["auroc"] is None and "same for all" in after["prompt"]["because"]
    assert summary["lexicon_hits"]["ar"]["agreeing"] > 400
    assert before["caption"]["masked"] < after["caption"]["masked"] and after["caption_whole"]["masked"] == 0
    assert not summary["lexicon_hits"]["en"]["agreement_known"]


def test_words_are_counted_as_sklearn_counts_them():
    texts = ["a woman a dog", "dog", "", "cat a"]
    theirs = CountVectorizer(token_pattern=r"\w+")
    expected = theirs.fit_transform(texts[:2] + texts[2:]).toarray()
    found = counted([text.split() for text in texts], theirs.vocabulary_).toarray()
    np.testing.assert_array_equal(found, expected)


def test_what_a_condition_reads():
    row = {"prompt": "Say it", "caption": "The Woman reads", "label_spans": "[[4, 9]]"}
    read = {
        name: unmasked(row, name, "en")
        for name in ("prompt", "caption", "text", "generated", "caption_whole")
    }
    assert read["prompt"] == ["say", "it"] and read["caption"] == ["the", "reads"] == read["generated"]
    assert read["text"] == ["say", "it", "the", "reads"] and read["caption_whole"] == [
        "the",
        "woman",
        "reads",
    ]


def drawn(n, told, rng):
    """Texts of which a share `told` has a word for its gender."""
    gender = np.array(["female", "male"])[np.arange(n) % 2]
    split = np.array(["train", "test"])[np.arange(n) // 2 % 2]
    words = [
        " ".join(
            ["pink" if g == "female" else "blue"] * (rng.random() < told)
            + list(rng.choice(list("abcdef"), 4))
        )
        for g in gender
    ]
    ids = [f"i{i:03d}" for i in range(n)]
    return pd.DataFrame(
        {
            "sample_id": ids,
            "image_id": ids,
            "row": np.arange(n),
            "caption": words,
            "prompt": "x",
            "gender": gender,
        }
        | {"gender_source": "column", "category": "", "image": "", "image_sha256": "", "split": split}
        | {"label_spans": "[]", "group": ids}
    )


def test_texts_that_tell_nothing_are_called_leaking_no_more_often_than_the_level(tmp_path):
    rng, called = np.random.default_rng(0), 0
    for seed in range(10):
        called += probed(drawn(80, 0.0, rng), tmp_path, seed)["leaks"]
    assert called <= 2  # P(more) of B(10, .05) is .011
    told = probed(drawn(200, 0.5, rng), tmp_path, 0)
    # half of the texts of either gender tell it, the others are guessed: AUROC 1/4 of pairs untold, so 7/8
    assert told["leaks"] and told["auroc"]["low"] < 7 / 8 < told["auroc"]["high"]


def probed(table, folder, seed):
    write_table(folder / "t.parquet", "dataset", table)
    settings = {"language": "en", "conditions": ["caption"], "alpha": 0.05, "seed": seed}
    measure_words(dataset=folder / "t.parquet", out=folder / "p.json", **settings)
    return json.loads((folder / "p.json").read_text())["conditions"]["caption"]
