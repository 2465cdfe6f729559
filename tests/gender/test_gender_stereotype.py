"""Planted shares are measured from captions, by image and by whole words; no bias gives no findings."""

import json
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, binomtest, ttest_ind

import crosslens.gender.shares
from crosslens.data.lexicons import load_lexicon
from crosslens.errors import InputError
from crosslens.gender.shares import between
from crosslens.gender.stereotype import _numbers, _units, count_images, measure_stereotype
from crosslens.report.sections.base import Results
from crosslens.report.sections.stereotype import findings_of
from crosslens.stats.shares import mean_share_interval
from crosslens.summary.claims import claimed
from crosslens.summary.reading import Document
from crosslens.summary.stereotype import stereotype_records
from crosslens.tables.documents import read_json, write_json, write_table

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
        table["group"] = table["image_id"]
        paths[language] = folder / f"generated_{language}.parquet"
        write_table(paths[language], "generated", table)
    return paths


def truth_file(folder, bias):
    path = folder / "truth.json"
    path.write_text(json.dumps({"schema": 1, "kind": "planted_truth", "bias": bias}), encoding="utf-8")
    return path


def run(folder, generated, lexicons, truth=None, name="out.json", **changes):
    settings = {"bootstraps": 200, "alpha": 0.05, "seed": 0} | changes
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
        assert told["differences"]["p"] < 0.01 and told["categories"]["guard"]["difference"]["q"] < 0.01
        others = np.mean([share for name, share in shares.items() if name != "guard"])
        apart = told["categories"]["guard"]["difference"]
        assert apart["value"] == pytest.approx(shares["guard"] - others, abs=0.12)
        assert apart["low"] < apart["value"] < apart["high"] < 0
    agreement = document["agreement"][0]
    assert agreement["languages"] == ["en", "ar"] and agreement["categories"] == 5
    assert agreement["pearson"]["r"] > 0.9 and agreement["spearman"]["r"] > 0.8
    run(tmp_path, generated, lexicons, truth_file(tmp_path, BIAS), name="again.json")
    assert (tmp_path / "out.json").read_bytes() == (tmp_path / "again.json").read_bytes()


@pytest.mark.parametrize("studies", [2, pytest.param(20, marks=pytest.mark.long)])
def test_without_bias_rejections_are_at_their_level(tmp_path, lexicons, monkeypatch, studies):
    """50 occupations a study at .5, pictures that lean either way: about 2.5 have p below .05."""
    monkeypatch.setattr(crosslens.gender.shares, "PERMUTATIONS", 999)
    bias = {"en": {f"c{i:02d}": 0.5 for i in range(50)}}
    p, q = [], []
    for seed in range(studies):
        generated = captions(tmp_path, bias, images=15, draws=4, seed=seed)
        told = run(tmp_path, generated, lexicons, truth_file(tmp_path, bias), f"{seed}.json", bootstraps=20)
        rows = told["languages"]["en"]["categories"].values()
        p += [row["p"] for row in rows]
        q += [row["q"] for row in rows]
        assert told["languages"]["en"]["planted"]["r"] is None, "constant truth has no correlation"
        assert told["languages"]["en"]["planted"]["mae"] < 0.15
    low, high = binom.interval(0.998, 50 * studies, 0.05)
    assert low <= np.sum(np.array(p) <= 0.05) <= high
    assert np.mean(np.array(q) <= 0.05) <= 0.02


def written(folder, shares, draws):
    """English captions: category -> a list of pictures' shares of captions that say woman, of `draws` each."""
    rows = [
        (f"{category}{i}", category, draw, WORDS["en"]["female" if draw < share * draws else "male"], [1])
        for category, pictures in shares.items()
        for i, share in enumerate(pictures)
        for draw in range(draws)
    ]
    table = pd.DataFrame(rows, columns=["image_id", "category", "draw", "text", "tokens"])
    table.insert(0, "sample_id", table["image_id"] + "#0")
    table["group"] = table["image_id"]
    write_table(folder / "en.parquet", "generated", table)
    return {"en": folder / "en.parquet"}


def findings(folder, document="out.json", level=0.05):
    words, records = {"unit": "picture", "units": "pictures"}, stereotype_records(folder / document)
    fields = {"level": level, "claims": claimed(records, level), "records": records}
    write_json(folder / "summary.json", "summary", fields)
    summary = Document(folder / "summary.json", "summary")
    return list(
        findings_of(records, Results("toy", {}, {}, {}, {}, summary, {"gender_source": "column"}.get, words))
    )


def test_few_pictures_that_all_agree_are_not_tested_rather_than_null(tmp_path, lexicons):
    """5 pictures, 80 captions of each, all "man": p can be 2 / 2^5 at the least, whatever the model does."""
    told = run(tmp_path, written(tmp_path, {"guard": [0.0] * 5}, 80), lexicons)["languages"]["en"]
    guard = told["categories"]["guard"]
    assert guard["share"] == 0 and guard["captions_gendered"] == 400
    assert guard["p"] == guard["least_p"] == 2 / 32 and guard["q"] is None
    # a picture counts once: Clopper-Pearson of 0 of 5, not of 0 of 400
    assert guard["low"] == 0 and guard["high"] == pytest.approx(binomtest(0, 5).proportion_ci().high)
    assert guard["difference"]["value"] is None and told["differences"] == dict.fromkeys(("p", "least_p"))
    tilt, apart = findings(tmp_path)
    assert tilt.kind == apart.kind == "warning" and "not tested" in tilt.title and "not tested" in apart.title
    assert "p cannot be below 0.062 with 5 of them" in " ".join(tilt.lines)
    told = run(tmp_path, written(tmp_path, {"guard": [0.0] * 6}, 80), lexicons)["languages"]["en"]
    assert told["categories"]["guard"]["q"] == 2 / 64
    assert findings(tmp_path)[0].title.startswith(
        "Over all pictures that hide the gender, the model writes man more"
    )


def test_one_default_for_everybody_is_a_tilt_and_no_stereotype(tmp_path, lexicons):
    rng = np.random.default_rng(0)
    shares = {f"c{i}": rng.beta(1, 7, size=8) for i in range(6)}
    told = run(tmp_path, written(tmp_path, shares, 16), lexicons)["languages"]["en"]
    assert told["overall"]["p"] < 0.01 and told["differences"]["p"] > 0.05
    tilt, apart = findings(tmp_path)
    assert tilt.kind == "found" and "man more often in English" in tilt.title
    assert apart.kind == "null" and "does not hang on the category" in apart.title
    assert sum(row["q"] < 0.05 for row in told["categories"].values()) >= 4, (
        "which alone would be called stereotypes"
    )


def test_categories_that_lean_apart_are_a_stereotype_though_the_whole_is_even(tmp_path, lexicons):
    rng = np.random.default_rng(0)
    shares = {f"c{i}": rng.beta(*((7, 2) if i % 2 else (2, 7)), size=8) for i in range(6)}
    told = run(tmp_path, written(tmp_path, shares, 16), lexicons)["languages"]["en"]
    assert told["overall"]["p"] > 0.05 and told["differences"]["p"] < 0.01
    tilt, apart = findings(tmp_path)
    assert tilt.kind == "null" and apart.kind == "found" and "a stereotype in English" in apart.title


def test_the_four_pictures_of_a_category_are_not_tested_and_named(tmp_path, lexicons):
    told = run(
        tmp_path, written(tmp_path, {"few": [0.0] * 4, "many": [1.0] * 12, "more": [0.5] * 12}, 4), lexicons
    )
    categories = told["languages"]["en"]["categories"]
    assert categories["few"]["difference"]["q"] is None and categories["few"]["difference"]["value"] < 0
    assert categories["many"]["difference"]["q"] < 0.05
    assert any("too few pictures: few" in line for line in findings(tmp_path)[1].lines)


def test_permutations_between_categories_are_exact_by_counting():
    """Two categories of five pictures: all 252 ways to choose one are counted."""
    shares, code = np.array([0.0, 0.1, 0.2, 0.3, 0.6, 0.5, 0.7, 0.8, 0.9, 1.0]), np.repeat([0, 1], 5)
    whole, (first, second) = between(shares, np.full(10, 10), code, 2, np.random.default_rng(0))
    chosen = [shares[list(some)] for some in combinations(range(10), 5)]
    t = np.abs([ttest_ind(some, np.setdiff1d(shares, some), equal_var=False).statistic for some in chosen])
    expected = np.mean(t >= np.abs(ttest_ind(shares[:5], shares[5:], equal_var=False).statistic) - 1e-9)
    assert first.p == second.p == pytest.approx(expected, abs=0.005)
    assert whole.p == pytest.approx(expected, abs=0.005) and whole.least_p == pytest.approx(2 / 252)
    assert first.least_p == pytest.approx(1 / 252)


@pytest.mark.parametrize("leaning", [(4, 4), (2, 0.5)], ids=["even", "one default"])
@pytest.mark.parametrize("sizes", [(5, 5, 5), (5, 6, 20)])
def test_without_differences_rejections_are_at_their_level_though_captions_are_uneven(
    monkeypatch, sizes, leaning
):
    """One category has a gendered caption a picture, the others sixteen: five captions that say man where four in five do
    are no stereotype (they were in .28 of such studies)."""
    monkeypatch.setattr(crosslens.gender.shares, "PERMUTATIONS", 199)
    rng = np.random.default_rng(0)
    code = np.repeat(np.arange(3), sizes)
    whole, first = [], []
    for _ in range(150):
        lean = rng.beta(*leaning, size=len(code))
        shares = np.where(code == 0, rng.random(len(code)) < lean, rng.binomial(16, lean) / 16)
        all_of_them, each = between(shares.astype(float), np.where(code == 0, 1, 16), code, 3, rng)
        whole.append(all_of_them.p)
        first.append(each[0].p)
    assert np.mean(np.array(whole) <= 0.05) <= 0.1 and np.mean(np.array(first) <= 0.05) <= 0.1


@pytest.mark.parametrize("share", [0.5, 0.2])
@pytest.mark.parametrize("pictures", [5, 10, 30])
def test_intervals_of_shares_cover(share, pictures):
    """Pictures lean (Beta of concentration 4): a caption more of one is hardly another witness."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        drawn = rng.binomial(16, rng.beta(4 * share, 4 * (1 - share), size=pictures)) / 16
        low, high = mean_share_interval(drawn, 16 * pictures)
        covered += low <= share <= high
    assert covered >= 184


def test_words_are_whole_and_rates_are_per_hundred(lexicons):
    texts = ["the person there", "a woman and a man", "A WOMAN; she smiles", ""]
    table = pd.DataFrame({"text": texts, "image_id": "i", "group": "i", "category": "c"})
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
        table["group"] = table["image_id"]
        generated[language] = tmp_path / f"{language}.parquet"
        write_table(generated[language], "generated", table)
    document = run(tmp_path, generated, lexicons)
    english = document["languages"]["en"]["categories"]["cook"]
    assert english["share"] == 0.5 and (english["images"], english["images_gendered"]) == (3, 2)
    assert document["languages"]["ar"]["categories"]["cook"]["images"] == 2
    assert document["languages"]["en"]["planted"] is None
    assert document["agreement"][0]["pearson"]["r"] is None, "one category has no correlation"


def test_pictures_of_one_group_count_once(tmp_path, lexicons):
    """Five pictures of one person, and one of another: two witnesses, of whom the first says woman in three of five."""
    rows = [(f"a{i}", "a", "woman" if i < 3 else "man") for i in range(5)] + [("b", "b", "man")]
    table = pd.DataFrame(rows, columns=["image_id", "group", "text"]).assign(
        category="cook", draw=0, tokens=0
    )
    table.loc[0, "category"] = "nurse"
    write_table(tmp_path / "en.parquet", "generated", table)
    told = run(tmp_path, {"en": tmp_path / "en.parquet"}, lexicons)["languages"]["en"]
    cook, nurse = (told["categories"][name] for name in ("cook", "nurse"))
    assert cook["share"] == pytest.approx((2 / 4 + 0) / 2) and nurse["share"] == 1
    assert (cook["units"], cook["images_gendered"], cook["captions_gendered"]) == (2, 5, 5)
    assert (told["overall"]["units"], told["overall"]["images"]) == (2, 6)
    assert told["overall"]["least_p"] == 1 / 2


def test_sixteen_people_who_lean_are_no_tilt_of_eighty_pictures(monkeypatch):
    """Five pictures of each of 16 people, within-person correlation .5, shares .5 on the whole."""
    monkeypatch.setattr(crosslens.gender.shares, "PERMUTATIONS", 199)
    rng, p = np.random.default_rng(0), {"units": [], "images": []}
    for _ in range(60):
        lean = rng.beta(0.5, 0.5, size=16).repeat(5)
        female = (rng.random(80) < lean).astype(int)
        counts = pd.DataFrame({"image_id": [f"i{i:02d}" for i in range(80)], "category": "c"})
        counts = counts.assign(group=(np.arange(80) // 5).astype(str), captions=1, tied=0, female=female)
        counts = counts.assign(male=1 - female, female_words=female, male_words=1 - female, words=5)
        for name, table in (("units", counts), ("images", counts.assign(group=counts["image_id"]))):
            p[name].append(_numbers(_units(table, table[["image_id", "group", "category"]]), rng)["p"])
    shares = {name: np.mean(np.array(values) <= 0.05) for name, values in p.items()}
    assert shares["images"] > 0.12 and shares["units"] <= 0.1, shares


def test_captions_without_gender_and_missing_inputs(tmp_path, lexicons):
    generated = captions(tmp_path, {"en": {"cook": 0.5}}, images=3, draws=2, seed=0, neutral=1.0)
    row = run(tmp_path, generated, lexicons)["languages"]["en"]["categories"]["cook"]
    assert row["share"] is row["p"] is row["q"] is row["low"] is None and row["gendered_rate"] == 0
    with pytest.raises(InputError, match="lexicon"):
        run(tmp_path, generated, {}, name="a.json")
    with pytest.raises(InputError, match="cook"):
        run(tmp_path, generated, lexicons, truth_file(tmp_path, {"en": {"nurse": 0.5}}), name="b.json")
