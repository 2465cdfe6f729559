"""Labels of planted features: the words that are planted, tried on texts that they were not made from."""

import json

import numpy as np
import pytest
from labelled_world import (
    CAT,
    ENGLISH,
    EVERYWHERE,
    PROMOTED,
    PROMPT,
    RANDOM,
    RARE,
    RED_HOUSE,
    SAE,
    WORDS,
    write_gender,
    write_statistics,
    write_world,
)
from scipy.sparse import csr_array
from scipy.stats import fisher_exact
from world import write_promoted

from crosslens.descriptions.examples import choose_examples
from crosslens.descriptions.ngrams import log_odds, ngrams_of
from crosslens.descriptions.scores import score_labels, scored
from crosslens.errors import InputError
from crosslens.tables.documents import read_json, read_table, write_json


@pytest.fixture(scope="module")
def described(labelled):
    found = read_json(labelled[0] / "described.json", "described")
    return {entry["feature"]: entry for entry in found["features"]}


@pytest.fixture(scope="module")
def rows(labelled, tmp_path_factory):
    """(feature, language) to its row of the scores of n-grams."""
    folder, out = labelled[0], tmp_path_factory.mktemp("scores") / "scores.json"
    score_labels(described=folder / "described.json", ngrams=folder / "ngrams.json", out=out)
    return {(row["feature"], row["language"]): row for row in read_json(out, "descriptions")["rows"]}


def test_what_fires_everywhere_or_in_no_text_is_not_described(described):
    assert described.keys() == {CAT, RED_HOUSE, RANDOM, ENGLISH}
    assert not {EVERYWHERE, PROMPT, RARE} & described.keys()
    assert described[ENGLISH]["named"] == ["composite, en"]


def test_examples_are_of_select_and_pairs_of_test(labelled, described):
    folder, given = labelled
    for language, dataset in given["datasets"].items():
        split = read_table(dataset, "dataset").set_index("sample_id")["split"]
        for entry in described.values():
            of = entry["languages"][language]
            shown = [example for kind in of["examples"].values() for example in kind]
            assert {split[example["sample_id"]] for example in shown} <= {"select"}
            assert {split[text["sample_id"]] for text in of["held_out"]} <= {"test"}
            assert len({example["caption"] for example in shown}) == len(shown)
            assert len({text["caption"] for text in of["held_out"]}) == len(of["held_out"])
            assert all(example["max"] > 0 for kind in ("top", "middle") for example in of["examples"][kind])


def test_promoted_tokens_are_those_of_the_features_of_this_sae(labelled, described, tmp_path):
    assert described[CAT]["promoted"] == ["kitten", "قطة", "'\\n'"] and described[CAT]["suppressed"] == [
        "dog"
    ]
    assert described[RANDOM]["promoted"] == described[RANDOM]["suppressed"] == []
    given = labelled[1] | {"promoted": write_promoted(tmp_path / "others", PROMOTED, sae="e" * 64)}
    with pytest.raises(InputError, match="tokens of the SAE eee"):
        choose_examples(**given, out=tmp_path / "described.json")


def test_marks_are_where_the_feature_fires_and_halves_are_equal(described):
    for language, words in WORDS.items():
        of = described[CAT]["languages"][language]
        for example in of["examples"]["top"]:
            marked = {example["caption"][start:end] for _, start, end, *_ in example["tokens"]}
            assert marked == {words[0]}
        assert len(of["held_out"]) == 40
        for pair in range(20):
            (first, second) = (text for text in of["held_out"] if text["pair"] == pair)
            assert {first["fires"], second["fires"]} == {True, False}
            assert all((words[0] in t["caption"].split()) == t["fires"] for t in (first, second))
        length = {True: [], False: []}
        for text in of["held_out"]:
            length[text["fires"]].append(len(text["caption"].split()))
        assert np.mean(length[True]) == pytest.approx(np.mean(length[False]), abs=0.5)


def test_planted_words_are_the_labels_and_tell_where_features_fire(rows):
    for language, words in WORDS.items():
        for feature, label in ((CAT, words[0]), (RED_HOUSE, f"{words[5]} {words[2]}")):
            row = rows[feature, language]
            assert row["label"].split(" · ")[0] == label
            assert row["accuracy"]["value"] >= 0.95 and row["p"] < 1e-6 and row["pairs"] == 20
            assert row["accuracy"]["low"] > 0.75 > row["shuffled"]
    assert rows[ENGLISH, "en"]["label"] == "Dog"


def test_where_a_feature_never_fires_nothing_is_tested(rows):
    row = rows[ENGLISH, "ar"]
    assert (row["label"], row["p"], row["accuracy"], row["pairs"]) == (None, None, None, 0)
    assert row["because"].startswith("it fires in 0 of 60 different texts of test")


def test_a_bad_label_is_at_chance_and_a_random_feature_has_none_or_a_bad_one(labelled, rows, tmp_path):
    """The words of one feature given to another: .5, whatever the feature."""
    folder = labelled[0]
    for language in WORDS:
        row = rows[RANDOM, language]
        assert row["label"] is None or row["p"] > 0.01
    spoilt = read_json(folder / "ngrams.json", "ngram_labels")
    labels = {entry["feature"]: entry["languages"] for entry in spoilt["features"]}
    for entry in spoilt["features"]:
        entry["languages"] = labels[CAT if entry["feature"] == RANDOM else RED_HOUSE]
    write_json(tmp_path / "spoilt.json", "ngram_labels", {k: v for k, v in spoilt.items() if k != "kind"})
    score_labels(
        described=folder / "described.json", ngrams=tmp_path / "spoilt.json", out=tmp_path / "scores.json"
    )
    for row in read_json(tmp_path / "scores.json", "descriptions")["rows"]:
        if row["feature"] in (CAT, RANDOM) and row["accuracy"]:
            assert abs(row["accuracy"]["value"] - 0.5) < 0.2 and row["p"] > 0.01


def test_the_gendered_are_described_too(labelled, tmp_path):
    given = labelled[1] | {"gender": {"en": write_gender(tmp_path / "gender.json", RARE, CAT)}, "features": 0}
    choose_examples(**given, out=tmp_path / "described.json")
    found = read_json(tmp_path / "described.json", "described")["features"]
    assert {entry["feature"]: entry["named"] for entry in found} == dict.fromkeys(
        (RARE, CAT), ["most female, en, caption"]
    )


def test_texts_that_the_model_writes_are_described(tmp_path):
    """In the place of captions; the prompt on which a feature fires is none of them."""
    world = write_world(tmp_path, n=120, seed=1, role="generated")
    del world["ar"]
    choose_examples(
        datasets=world.datasets,
        tokens=world.tokens,
        codes=world.codes,
        statistics=write_statistics(tmp_path, world),
        gender={},
        promoted=write_promoted(tmp_path / "promoted", PROMOTED, sae=SAE),
        corpus="en",
        features=9,
        examples=1,
        held_out=5,
        seed=0,
        out=tmp_path / "described.json",
    )
    found = read_json(tmp_path / "described.json", "described")["features"]
    assert {entry["feature"] for entry in found} == {CAT, RED_HOUSE, RANDOM, ENGLISH}
    (top,) = next(e for e in found if e["feature"] == CAT)["languages"]["en"]["examples"]["top"]
    assert {top["caption"][start:end] for _, start, end, *_ in top["tokens"]} == {"cat"}


def test_features_of_another_sae_are_refused(labelled, tmp_path):
    other = write_gender(tmp_path / "gender.json", CAT, sae="e" * 64)
    with pytest.raises(InputError, match="features of the SAE eee"):
        choose_examples(**labelled[1] | {"gender": {"en": other}}, out=tmp_path / "described.json")


def test_two_runs_write_the_same_bytes(labelled, tmp_path):
    choose_examples(**labelled[1], out=tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (labelled[0] / "described.json").read_bytes()


def test_log_odds_by_hand():
    """Two n-grams, three texts: the formula of Monroe et al. written out for one of them."""
    has, fires = csr_array([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]]), np.array([[True], [True], [False]])
    z = log_odds(has, fires)
    prior = 500 * 2 / 4  # of 4 counted, 2 are the first
    inside, outside = (2, 3), (0, 1)  # it, and all n-grams
    odds = [np.log((y + prior) / (n + 500 - y - prior)) for y, n in (inside, outside)]
    expected = (odds[0] - odds[1]) / np.sqrt(1 / (2 + prior) + 1 / (0 + prior))
    assert z[0, 0] == pytest.approx(expected) and z[1, 0] < 0 < z[0, 0]


def test_ngrams_are_normalised_words_in_a_row():
    assert ngrams_of("A Red house!", "en") == {"a", "red", "house", "a red", "red house", "a red house"}
    assert ngrams_of("أَحمَرُ", "ar") == ngrams_of("أحمر", "ar")


def test_scores_against_scipy():
    rng = np.random.default_rng(1)
    texts = [{"pair": i // 2, "fires": bool(i % 2)} for i in range(40)]
    said = [bool(text["fires"]) if rng.random() < 0.75 else bool(rng.random() < 0.5) for text in texts]
    row = scored(texts, said)
    table = np.zeros((2, 2), dtype=int)
    for text, one in zip(texts, said, strict=True):
        table[int(one), int(text["fires"])] += 1
    assert row["p"] == pytest.approx(fisher_exact(table, alternative="greater").pvalue)
    assert row["accuracy"]["value"] == pytest.approx((row["sensitivity"] + row["specificity"]) / 2)
    assert row["accuracy"]["value"] == pytest.approx(np.trace(table) / 40)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_labels_of_nothing_are_called_something_no_more_often_than_the_level(rate):
    """Whatever the share of texts that a label is said to fit: p is below .05, and .5 outside the interval, no more often."""
    rng, draws = np.random.default_rng(2), 600
    texts = [{"pair": i // 2, "fires": bool(i % 2)} for i in range(40)]
    rows = [scored(texts, (rng.random(40) < rate).tolist()) for _ in range(draws)]
    beyond = np.mean([row["p"] <= 0.05 for row in rows])
    outside = np.mean([not row["accuracy"]["low"] <= 0.5 <= row["accuracy"]["high"] for row in rows])
    assert beyond <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / draws)
    assert outside <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / draws)


def test_what_was_not_answered_is_left_out_with_its_pair_and_counted():
    texts = [{"pair": i // 2, "fires": bool(i % 2)} for i in range(8)]
    row = scored(texts, [False, True, None, True, True, True, None, None])
    assert (row["pairs"], row["unanswered"]) == (2, 2)
    assert (row["accuracy"]["value"], row["sensitivity"], row["specificity"]) == (0.75, 1.0, 0.5)


def test_saying_the_same_of_all_is_chance():
    texts = [{"pair": i // 2, "fires": bool(i % 2)} for i in range(20)]
    for one in (True, False):
        row = scored(texts, [one] * 20)
        assert (row["accuracy"]["value"], row["p"]) == (0.5, 1.0)


def test_files_hold_no_numbers_that_json_has_not(labelled):
    for name in ("described", "ngrams"):
        text = (labelled[0] / f"{name}.json").read_text(encoding="utf-8")
        json.loads(text, parse_constant=lambda word: pytest.fail(word))
