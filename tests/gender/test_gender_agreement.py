"""What a model does with gender: which words are targets, their log-odds against whole sums, and what the numbers say."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from mt_geneval_files import planted_sentences

from crosslens.gender.agreed import agreed
from crosslens.gender.agreement import Place, alone, log_odds, measure_agreement, word_ends
from crosslens.gender.targets import GENDERS, targets_of
from crosslens.models.inputs import Sample, encode
from crosslens.models.load import load_model
from crosslens.sources.mt_geneval import parse
from crosslens.summary.claims import goes_on
from crosslens.tables.documents import read_json, read_table, write_table

MODEL = "resources/planted"


@pytest.fixture(scope="module")
def loaded(request):
    return load_model(str(request.config.rootpath / MODEL), device="cpu")


def dataset(*sentences: tuple[str, str], split: str = "test", prompt: str = "") -> pd.DataFrame:
    """Rows of tagged sentences of a woman and of a man."""
    rows = []
    for number, versions in enumerate(sentences):
        for gender, line in zip(GENDERS, versions, strict=True):
            told = parse(line, gender)
            rows.append(
                {
                    "sample_id": f"{number}_{gender}#0",
                    "image_id": f"{number}_{gender}",
                    "group": f"s{number}",
                    "gender": gender,
                    "caption": told.text,
                    "prompt": prompt,
                    "split": split,
                    "label_spans": json.dumps(told.spans),
                }
            )
    return pd.DataFrame(rows)


# targets


def test_every_gendered_word_behind_another_is_a_target():
    found, left_out = targets_of(
        dataset(
            (
                "Then <F>she</F> saw the <F>actress</F>es and <F>her</F> aunt.",
                "Then <M>he</M> saw the <M>actor</M>s and <M>his</M> aunt.",
            )
        )
    )
    # of "actresses" and "actors" the texts around the spans differ
    assert not found and left_out["other words around them"] == 1
    found, left_out = targets_of(
        dataset(
            (
                "Then <F>she</F> saw the <F>wait</F>resses' own and <F>her</F> aunt.",
                "Then <M>he</M> saw the <M>maît</M>resses' own and <M>his</M> aunt.",
            )
        )
    )
    assert not any(left_out.values())
    assert [(target.target, target.before, target.distance) for target in found] == [(1, 1, 3), (2, 2, 6)]
    assert found[0].form == {"female": "waitresses", "male": "maîtresses"}
    assert found[0].prefix == {"female": "Then she saw the ", "male": "Then he saw the "}
    assert found[1].prefix["male"] == "Then he saw the maîtresses' own and "


def test_words_with_one_form_tell_nothing_and_white_space_may_differ():
    found, _ = targets_of(
        dataset(
            (
                "<F>Dear</F> reader,  <F>she</F> met <F>her</F> <F>own</F> aunt",
                "<M>Dear</M> reader, <M>he</M> met <M>his</M> <M>own</M> aunt",
            )
        )
    )
    assert [(target.target, target.before, target.form["male"]) for target in found] == [(2, 1, "his")]
    assert found[0].distance == 2


@pytest.mark.parametrize(
    ("female", "male", "why"),
    [
        ("<F>She</F> and <F>her</F> aunt", "<M>He</M> and aunt", "another number of gendered words"),
        ("<F>She</F> and <F>her</F> aunt", "<M>He</M> or <M>his</M> aunt", "other words around them"),
        ("<F>She</F> sang", "<M>He</M> sang", "no gendered word behind another"),
        ("<F>She</F> saw <F>me</F>", "<M>He</M> saw <M>me</M>", "no gendered word behind another"),
    ],
)
def test_sentences_without_a_target_are_counted_by_the_reason(female, male, why):
    found, left_out = targets_of(dataset((female, male)))
    assert not found and left_out == dict.fromkeys(left_out, 0) | {why: 1}


def test_a_sentence_of_one_gender_and_texts_of_none_are_not_compared():
    rows = dataset(("<F>She</F> is <F>her</F>", "<M>He</M> is <M>him</M>"))
    unknown = rows.assign(gender="unknown", group="message")
    found, left_out = targets_of(pd.concat([rows[:1], unknown]))
    assert not found and sum(left_out.values()) == left_out["not of both genders"] == 1


# log-odds


def whole(loaded, text: str, prompt: str = "") -> float:
    """log P of all tokens of the text behind the first, by one pass without padding, float64."""
    (tokens,) = encode(loaded, [Sample("one", text, prompt)], with_caption=True)
    ids = torch.from_numpy(tokens.token_id.astype(np.int64))[None]
    with torch.inference_mode():
        log_p = loaded.model(input_ids=ids).logits[0].double().log_softmax(-1)
    return float(log_p[:-1].gather(1, ids[0, 1:, None]).sum())


def test_log_odds_are_the_difference_of_whole_texts(loaded):
    """What stands before the first piece that differs is the same in both, and cancels."""
    places = [
        Place("", "a woman is reading a red book in the park. the nurse lost ", "her", "his"),
        Place("", "امرأة ", "تعمل", "يعمل"),
        Place("", "في المطبخ امرأة تعمل ", "ممرضة و", "ممرضا و"),
        Place("", "a ", "wom", "m"),
    ]
    scored = log_odds(loaded, places, batch=3)
    for place, one in zip(places, scored, strict=True):
        assert not one.word_end
        expected = whole(loaded, place.prefix + place.female) - whole(loaded, place.prefix + place.male)
        assert one.log_odds == pytest.approx(expected, abs=1e-3)


def test_where_one_form_begins_the_other_the_end_of_the_word_counts(loaded):
    place = Place("", "امرأة تحمل ", "ممرض", "ممرضممرض")
    (one,) = log_odds(loaded, [place], batch=2)
    assert one.word_end and one.pieces[0] == 0 < one.pieces[1]
    ends = word_ends(loaded.tokenizer)
    expected = 0.0
    for form, sign in ((place.female, 1), (place.male, -1)):
        (tokens,) = encode(loaded, [Sample("one", place.prefix + form, "")], with_caption=True)
        ids = torch.from_numpy(tokens.token_id.astype(np.int64))[None]
        with torch.inference_mode():
            log_p = loaded.model(input_ids=ids).logits[0, -1].double().log_softmax(-1)
        expected += sign * (whole(loaded, place.prefix + form) + float(log_p[ends].exp().sum().log()))
    assert one.log_odds == pytest.approx(expected, abs=1e-3)


def test_no_token_that_ends_a_word_goes_on_with_one(loaded):
    ends = set(word_ends(loaded.tokenizer).tolist())
    texts = {id: loaded.tokenizer.decode([id]) for id in range(len(loaded.tokenizer))}
    assert loaded.tokenizer.eos_token_id in ends
    assert not any(texts[id][:1].isalnum() for id in ends)
    for text in (".", ",", " the", " في"):
        ids = loaded.tokenizer(f"a{text}", add_special_tokens=False).input_ids
        assert ids[1] in ends, text


def test_with_nothing_read_a_word_keeps_what_it_is_written_onto():
    assert alone({"female": "saw the ", "male": "saw the "}) == " "
    assert alone({"female": "رأيت ال", "male": "رأى ال"}) == " ال"
    assert alone({"female": "her-", "male": "his-"}) == " "


def test_the_embedded_model_agrees_in_arabic_whatever_the_batch(tmp_path, request):
    """It has learnt captions in which noun, verb and pronoun agree: the known truth of the measurement."""
    rows = dataset(*[each[2:] for each in planted_sentences(7)], prompt="صف الصورة.")
    write_table(tmp_path / "ar.parquet", "dataset", rows)
    for batch in (5, 16):
        measure_agreement(
            model={"id": str(request.config.rootpath / MODEL), "device": "cpu"},
            dataset=tmp_path / "ar.parquet",
            language="ar",
            batch=batch,
            alpha=0.05,
            bootstraps=20,
            seed=0,
            out=tmp_path / str(batch),
        )
    one, many = (read_table(tmp_path / name / "targets.parquet", "agreement_targets") for name in ("5", "16"))
    odds = ["log_odds_female", "log_odds_male", "log_odds_alone"]
    np.testing.assert_allclose(one[odds], many[odds], atol=1e-3)
    of = read_json(tmp_path / "16/agreement.json", "agreement")["of"]["all"]
    assert of["agrees"]["value"] == of["own"]["both"]["value"] == 1 and of["difference"]["value"] > 8
    assert of["tested"] and of["p"] == 2 / 2**7 and of["alone"]["both"]["value"] == 0.5


def test_without_targets_nothing_is_tested_and_no_model_is_needed(tmp_path):
    write_table(tmp_path / "en.parquet", "dataset", dataset(("<F>She</F> sang", "<M>He</M> sang")))
    settings = {"language": "en", "batch": 1, "alpha": 0.05, "bootstraps": 10, "seed": 0}
    measure_agreement(model={"id": "none"}, dataset=tmp_path / "en.parquet", out=tmp_path / "out", **settings)
    document = read_json(tmp_path / "out/agreement.json", "agreement")
    assert document["sentences"] == 0 and document["of"]["all"]["p"] is None
    assert not document["of"]["all"]["tested"] and "of 0 sentences" in document["of"]["all"]["because"]


# numbers


def odds(female, male, groups=None, alone=None) -> pd.DataFrame:
    count = len(female)
    return pd.DataFrame(
        {
            "group": [str(number) for number in (range(count) if groups is None else groups)],
            "distance": 1,
            "before": 1,
            "pieces_female": 1,
            "pieces_male": [1 + number % 2 for number in range(count)],
            "log_odds_female": np.asarray(female, float),
            "log_odds_male": np.asarray(male, float),
            "log_odds_alone": np.asarray(alone if alone is not None else np.zeros(count), float),
        }
    )


def numbers(table: pd.DataFrame, **changes) -> dict:
    return agreed(table, **{"alpha": 0.05, "bootstraps": 200, "seed": 0, "stream_name": "x"} | changes)


def test_the_numbers_by_hand():
    """A lean to the male form (y is mostly below 0) that D does not see."""
    found = numbers(odds([1, -1, -2, -3], [-2, -3, -2, -2], alone=[-1, -1, -1, np.nan]))
    assert found["agrees"]["value"] == (1 + 1 + 0.5 + 0) / 4
    assert found["own"]["female"]["value"] == 1 / 4 and found["own"]["male"]["value"] == 1
    assert found["own"]["both"]["value"] == 5 / 8
    assert found["alone"]["female"]["value"] == 0 and found["alone"]["both"]["value"] == 0.5
    assert found["difference"]["value"] == (3 + 2 + 0 - 1) / 4
    assert found["lean"]["value"] == pytest.approx((-0.5 - 2 - 2 - 2.5) / 4)
    strata = {(each["by"], each["first"]): each["targets"] for each in found["strata"]}
    assert strata == {("distance", 1): 4, ("before", 1): 4, ("pieces", 1): 2, ("pieces", 2): 2}


def test_words_of_one_sentence_are_one_witness():
    """Five sentences that all agree have a least p of 2 / 2^5, however many words each has."""
    many = numbers(odds([1] * 50, [-1] * 50, groups=np.repeat(range(5), 10)))
    assert not many["tested"] and many["p"] is None and "of 5 sentences" in many["because"]
    six = numbers(odds([1] * 60, [-1] * 60, groups=np.repeat(range(6), 10)))
    assert six["tested"] and six["p"] == 2 / 2**6
    # two sentences of twenty words for, twelve of one word against: words say one thing, and what is tested the other
    mixed = numbers(
        odds([1] * 40 + [-1] * 12, [-1] * 40 + [1] * 12, groups=[*np.repeat(range(2), 20), *range(2, 14)])
    )
    assert mixed["agrees"]["value"] == 40 / 52 and mixed["by_sentence"] == 2 / 14 and mixed["p"] < 0.05
    assert not goes_on({"q": mixed["p"], **mixed}, 0.05)
    assert six["agrees"]["low"] == pytest.approx(numbers(odds([1] * 6, [-1] * 6))["agrees"]["low"])


def test_p_holds_where_sentences_know_no_gender():
    """Words of a sentence share which way they go: at the level .05 about one study in twenty is called."""
    rng = np.random.default_rng(0)
    studies, called = 100, 0
    for _ in range(studies):
        groups = np.repeat(range(12), 4)
        shift = rng.normal(0, 2, 12)[groups]
        table = odds(rng.normal(0, 1, 48) + shift, rng.normal(0, 1, 48), groups)
        called += numbers(table, bootstraps=0)["p"] <= 0.05
    assert called / studies <= 0.05 + 3 * (0.05 * 0.95 / studies) ** 0.5
