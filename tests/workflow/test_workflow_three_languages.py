"""Three languages with everything on, to the page: each pair that the study names, and no other, in every comparison."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from checkouts import Checkout
from three_languages import BACKWARDS, PAGE, PAIRS, lay_three

pytestmark = pytest.mark.long

NAMES = ["English and Arabic", f"Arabic and {BACKWARDS}"]
BOTH_WAYS = {tuple(pair) for pair in PAIRS} | {tuple(pair[::-1]) for pair in PAIRS}


@pytest.fixture(scope="module")
def results(source, tmp_path_factory) -> Path:
    """results/three."""
    checkout = Checkout.create(tmp_path_factory.mktemp("three") / "checkout", source)
    lay_three(checkout)
    checkout.snakemake(PAGE)
    return checkout.folder / "results/three"


def documents(results, pattern):
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob(pattern))]
    assert found, pattern
    return found


def test_every_analysis_compares_the_named_pairs_alone(results):
    for place in (
        "representations/layer_*.json",
        "retrieval/layer_*.json",
        "sharing/*/*/*.json",
        "matching/*/*.json",
    ):
        for document in documents(results, f"alignment/{place}"):
            assert [pair["languages"] for pair in document["pairs"]] == PAIRS, place
    for document in documents(results, "gender/*/cross_lingual/*.json"):
        assert [result["languages"] for result in document["results"]] == PAIRS * 2
    for document in documents(results, "gender/activations/transfer/*.json"):
        for condition in document["conditions"].values():
            assert [row["languages"] for row in condition["cosine"]] == PAIRS
            across = {(row["source"], row["target"]) for row in condition["transfer"]}
            assert across == BOTH_WAYS | {(language, language) for pair in PAIRS for language in pair}
    for document in documents(results, "geometry/dimensions/*.json"):
        assert list(document["of"]) == ["en", "ar", BACKWARDS]
        assert [row["languages"] for row in document["differences"]] == PAIRS
    (stereotype,) = documents(results, "gender/stereotype.json")
    assert [row["languages"] for row in stereotype["agreement"]] == PAIRS
    (divergence,) = documents(results, "alignment/divergence.json")
    assert {(row["source"], row["target"]) for row in divergence["series"]} <= BOTH_WAYS
    assert {(row["source"], row["target"]) for row in divergence["series"] if row["measure"] == "cka"} == {
        tuple(pair) for pair in PAIRS
    }


def test_what_is_of_one_language_is_there_for_all_three(results):
    languages = ["en", "ar", BACKWARDS]
    for kind in ("quality", "gender", "features"):
        for corpus, language in [("joint", each) for each in languages] + [
            (each, each) for each in languages
        ]:
            assert [*results.glob(f"{kind}/{corpus}/{language}/layer_2*")], (kind, corpus, language)
    features = pd.read_parquet(next(results.glob("alignment/sharing/joint/*/features.parquet")))
    assert features["entropy"].max() > 0.75  # of two languages at most log 2
    assert len([*results.glob("gender/*/ar/grammar/*")]) == 2 == len([*results.glob("gender/*/*/grammar/*")])


def test_the_page_tells_of_each_pair(results):
    page = (results / "report/index.html").read_text(encoding="utf-8")
    found = re.search(r"What was found</h2>(.*?)</section>", page, re.S)[1]
    titles = re.findall(r"<b>(.*?)</b>", found, re.S)
    for name in NAMES:
        told = [title for title in titles if name in title]
        # depth, transfer, translations, those beyond the picture, shared, specific, matched, CLBAS, effects
        assert len(told) == 9, told
    assert not [title for title in titles if f"English and {BACKWARDS}" in title] and "Promotes" in page
