"""Planted shares are measured from captions, by image and by whole words; no bias gives no findings."""

import json

import numpy as np
import pandas as pd
import pytest

from crosslens.data.lexicons import load_lexicon
from crosslens.errors import InputError
from crosslens.gender.stereotype import count_images, measure_stereotype
from crosslens.tables.documents import read_json, write_table

WORDS = {
    "en": {"female": "a woman reads the other book", "male": "a man reads the other book"},
    "ar": {"female": "امرأة أمام كتاب", "male": "والرجل أمام كتاب"},
}
NEUTRAL = {"en": "the person reads the other book", "ar": "شخص أمام كتاب"}
BIAS = {
    "en": {"nurse": 0.9, "cook": 0.6, "artist": 0.5, "farmer": 0.3, "guard": 0.1},
    "ar": {"nurse": 0.95, "cook": 0.7, "artist": 0.4, "farmer": 0.15, "guard": 0.05},
}


@pytest.fixture(scope="module")
def lexicons(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lexicons")
    paths = {}
    for language, female, male, prefixes in (
        ("en", "woman, she", "man, he, son", ""),
        ("ar", "امرأة", "رجل", "و, ال"),
    ):
        paths[language] = folder / f"{language}.yaml"
        paths[language].write_text(
            f"schema: 1\nkind: gender_lexicon\nlanguage: {language}\ngroups:\n"
            f"  - name: words\n    prefixes: [{prefixes}]\n    female: [{female}]\n    male: [{male}]\n",
            encoding="utf-8",
        )
    return paths


def captions(folder, bias, *, images, draws, seed, neutral=0.2):
    """Captions of `images` pictures a category; a picture leans, so its draws are not independent."""
    rng = np.random.default_rng(seed)
    paths = {}
    for language, shares in bias.items():
        rows = []
        for category, share in shares.items():
            for i in range(images):
                lean = rng.beta(4 * share + 1e-9, 4 * (1 - share) + 1e-9)
                for draw in range(draws):
                    gender = "female" if rng.random() < lean else "male"
                    text = NEUTRAL[language] if rng.random() < neutral else WORDS[language][gender]
                    image = f"{category}{i:03d}"
                    rows.append((f"{image}#0", image, category, draw, text, [1]))
        table = pd.DataFrame(rows, columns=["sample_id", "image_id", "category", "draw", "text", "tokens"])
        paths[language] = folder / f"generated_{language}.parquet"
        write_table(paths[language], "generated", table)
    return paths


def truth_file(folder, bias):
    path = folder / "truth.json"
    path.write_text(json.dumps({"schema": 1, "kind": "planted_truth", "bias": bias}), encoding="utf-8")
    return path


def run(folder, generated, lexicons, truth=None, name="out.json", **changes):
    settings = {"bootstraps": 200, "seed": 0} | changes
    measure_stereotype(generated=generated, lexicons=lexicons, truth=truth, out=folder / name, **settings)
    return read_json(folder / name, "stereotype")


def test_planted_shares_are_recovered_in_both_languages(tmp_path, lexicons):
    generated = captions(tmp_path, BIAS, images=60, draws=6, seed=0)
    document = run(tmp_path, generated, lexicons, truth_file(tmp_path, BIAS))
    for language, shares in BIAS.items():
        told = document["languages"][language]
        assert told["planted"]["r"] > 0.97 and told["planted"]["mae"] < 0.05
        assert told["planted"]["r_low"] < told["planted"]["r"] < told["planted"]["r_high"]
        for category, share in shares.items():
            row = told["categories"][category]
            assert (
                row["share"] == pytest.approx(share, abs=0.12) and row["low"] <= row["share"] <= row["high"]
            )
            assert row["gendered_rate"] == pytest.approx(0.8, abs=0.06) and row["tied_rate"] == 0
            assert (row["q"] <= 0.05) == (abs(share - 0.5) > 0.2 or row["q"] <= 0.05)
            assert row["captions"] == 360 and row["images"] == 60
        assert told["categories"]["guard"]["q"] < 0.01 and told["categories"]["nurse"]["q"] < 0.01
    agreement = document["agreement"][0]
    assert agreement["languages"] == ["en", "ar"] and agreement["categories"] == 5
    assert agreement["pearson"]["r"] > 0.9 and agreement["spearman"]["r"] > 0.8
    run(tmp_path, generated, lexicons, truth_file(tmp_path, BIAS), name="again.json")
    assert (tmp_path / "out.json").read_bytes() == (tmp_path / "again.json").read_bytes()


def test_without_bias_rejections_are_at_their_level(tmp_path, lexicons):
    """50 occupations a study at .5, pictures that lean either way: about 2.5 have p below .05."""
    bias = {"en": {f"c{i:02d}": 0.5 for i in range(50)}}
    p, q = [], []
    for seed in range(4):
        generated = captions(tmp_path, bias, images=15, draws=4, seed=seed)
        told = run(tmp_path, generated, lexicons, truth_file(tmp_path, bias), f"{seed}.json", bootstraps=20)
        rows = told["languages"]["en"]["categories"].values()
        p += [row["p"] for row in rows]
        q += [row["q"] for row in rows]
        assert told["languages"]["en"]["planted"]["r"] is None, "constant truth has no correlation"
        assert told["languages"]["en"]["planted"]["mae"] < 0.15
    assert 0.015 <= np.mean(np.array(p) <= 0.05) <= 0.09
    assert np.mean(np.array(q) <= 0.05) <= 0.02


def test_words_are_whole_and_rates_are_per_hundred(lexicons):
    texts = ["the person there", "a woman and a man", "A WOMAN; she smiles", ""]
    table = pd.DataFrame({"text": texts, "image_id": "i", "category": "c"})
    row = count_images(table, load_lexicon(lexicons["en"], "en"), "en").iloc[0]
    assert (row["captions"], row["female"], row["male"], row["tied"]) == (4, 1, 0, 1)
    assert (row["female_words"], row["male_words"], row["words"]) == (3, 1, 12)
    arabic = table.assign(text=["امام الرجل", "المرأة امرأة", "أمام", "رجلان"])
    row = count_images(arabic, load_lexicon(lexicons["ar"], "ar"), "ar").iloc[0]
    assert (row["female"], row["male"]) == (1, 1)


def test_pictures_count_once_and_a_language_may_lack_one(tmp_path, lexicons):
    """One picture with many gendered draws does not outweigh one with a single gendered draw."""
    generated = {}
    for language in ("en", "ar"):
        words = WORDS[language]
        rows = [("a", words["female"])] * 9 + [("b", words["male"])] + [("b", NEUTRAL[language])] * 8
        rows += [("c", NEUTRAL[language])] * 9 if language == "en" else []
        table = pd.DataFrame(rows, columns=["image_id", "text"]).assign(category="cook", draw=0, tokens=0)
        generated[language] = tmp_path / f"{language}.parquet"
        write_table(generated[language], "generated", table)
    document = run(tmp_path, generated, lexicons)
    english = document["languages"]["en"]["categories"]["cook"]
    assert english["share"] == 0.5 and (english["images"], english["images_gendered"]) == (3, 2)
    assert document["languages"]["ar"]["categories"]["cook"]["images"] == 2
    assert document["languages"]["en"]["planted"] is None
    assert document["agreement"][0]["pearson"]["r"] is None, "one category has no correlation"


def test_captions_without_gender_and_missing_inputs(tmp_path, lexicons):
    generated = captions(tmp_path, {"en": {"cook": 0.5}}, images=3, draws=2, seed=0, neutral=1.0)
    row = run(tmp_path, generated, lexicons)["languages"]["en"]["categories"]["cook"]
    assert row["share"] is row["p"] is row["q"] is row["low"] is None and row["gendered_rate"] == 0
    with pytest.raises(InputError, match="lexicon"):
        run(tmp_path, generated, {}, name="a.json")
    with pytest.raises(InputError, match="cook"):
        run(tmp_path, generated, lexicons, truth_file(tmp_path, {"en": {"nurse": 0.5}}), name="b.json")
