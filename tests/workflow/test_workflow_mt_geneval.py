"""Sentences in two genders, from the data set's files to the page, on the embedded model."""

import html
import re

import pytest
from checkouts import SENTENCES, SENTENCES_PAGE, Checkout, lay_sentences

from crosslens.tables.documents import read_json, read_table

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def sentences(built_once, made_once):
    """A checkout with the study `sentences`, to its page."""

    def build(folder):
        checkout = built_once.copy(folder)
        lay_sentences(checkout)
        checkout.snakemake(SENTENCES_PAGE)

    return Checkout(made_once("sentences", build))


@pytest.fixture(scope="module")
def results(sentences):
    return sentences.folder / "results/sentences"


def test_the_two_genders_of_a_sentence_are_one_group_in_one_split(results):
    for language in SENTENCES["languages"]:
        table = read_table(results / f"dataset/{language}.parquet", "dataset")
        pairs = table.groupby("group")
        assert (pairs["split"].nunique() == 1).all() and (pairs["gender"].nunique() == 2).all()
        assert (table["label_spans"] != "[]").all()


def test_effects_are_of_pairs_and_probes_hold_them_together(results):
    """Of 12 pairs of test: what is exchanged is the label within a pair."""
    document = read_json(results / "gender/joint/ar/layer_1/gender.json", "gender")
    assert document["conditions"]["caption"]["units"]["test"] == {"female": 12, "male": 12, "pairs": 12}
    probe = read_json(results / "gender/activations/ar/probe/layer_1.json", "probe")
    assert probe["conditions"]["caption"]["n_test"] == {"female": 12, "male": 12}


def test_masked_are_the_tagged_words_and_no_others(results):
    """What is left are words that both genders of a sentence have: a bag of them cannot tell the genders apart."""
    summary = read_json(results / "dataset/summary.json", "dataset_summary")
    assert summary["mask"] == "label_spans" and summary["lexicon_hits"] == {}
    assert not {"no_lexicon", "no_hits"} & {warning["code"] for warning in summary["warnings"]}
    for language in SENTENCES["languages"]:
        words = read_json(results / f"gender/words/{language}/probe.json", "probe")["conditions"]
        assert words["caption"]["leaks"] is False and words["caption"]["auroc"]["value"] == 0.5
        assert words["caption_whole"]["leaks"] is True


def test_the_page_says_that_the_model_agrees_in_the_language_in_which_it_has_learnt_to(results):
    """In Arabic nouns, verbs and pronouns of one caption agree; English captions have one gendered word."""
    document = read_json(results / "gender/agreement/ar/agreement.json", "agreement")
    assert document["of"]["test"]["agrees"]["value"] == 1 and document["of"]["all"]["difference"]["value"] > 5
    english = read_json(results / "gender/agreement/en/agreement.json", "agreement")
    assert english["of"]["all"]["difference"]["value"] < 1
    shown = html.unescape(re.sub("<[^>]+>", "", (results / "report/index.html").read_text(encoding="utf-8")))
    assert "Does the model go on as gender asks?" in shown
    assert "Arabic (العربية): the model goes on as the gender that it has read asks, beyond chance" in shown
    assert "masked are exactly the words that the source marks" in shown


def test_an_edited_sentence_is_read_anew_and_a_repeat_does_nothing(sentences, tmp_path):
    answered = sentences.copy(tmp_path / "checkout")
    assert answered.planned(SENTENCES_PAGE) == {}
    folder = answered.folder / "data/mt_geneval"
    for file in folder.glob("*-dev*"):
        lines = file.read_text(encoding="utf-8").splitlines()
        file.write_text("\n".join([lines[0].replace(" ", " again ", 1), *lines[1:], ""]), encoding="utf-8")
    planned = answered.planned(SENTENCES_PAGE)
    assert planned["collect_mt_geneval"] == 1 and planned["measure_agreement"] == 2
