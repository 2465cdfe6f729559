"""Examples, histograms and neighbours against the codes, and the pages' data against the artifacts, each read by other means."""

import base64
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from explored_study import DEAD, DEEP, DENSE, FEATURES, NURSE, PAGE, TEMPLATE
from PIL import Image

from crosslens.errors import InputError
from crosslens.explorer.page.samples import LONGEST, write_picture
from crosslens.explorer.page.write import write_feature_pages
from crosslens.tables.documents import read_table, write_json, write_table
from crosslens.tables.roles import ROLES

LANGUAGES = ("en", "ar")


def table_of(explored, name) -> pd.DataFrame:
    return pq.read_table(explored.dashboards / f"{name}.parquet").to_pandas()


def test_peaks(explored, language) -> pd.DataFrame:
    """(samples of test, F) largest activation, of the dense codes."""
    corpus = explored.corpora[language]
    split = corpus.frame.set_index("sample_id")["split"]
    ids = np.array(corpus.table.sample_ids)[corpus.table.sample]
    return pd.DataFrame(explored.codes[language]).groupby(ids).max().loc[split[split == "test"].index]


test_peaks.__test__ = False


@pytest.mark.parametrize("language", LANGUAGES)
def test_examples_are_the_strongest_and_some_of_every_part_of_the_others(explored, language):
    peaks = test_peaks(explored, language)
    examples = table_of(explored, "examples")
    examples = examples[examples["language"] == language]
    assert set(examples["feature"]) == {f for f in range(FEATURES) if peaks[f].max() > 0}
    assert DEAD not in set(examples["feature"])
    for feature, own in examples[
        examples["feature"].isin([NURSE, TEMPLATE, DENSE, *range(10, FEATURES, 20)])
    ].groupby("feature"):
        firing = peaks[feature][peaks[feature] > 0].sort_values(ascending=False)
        assert own["sample_id"].is_unique
        silent = own[own["group"] == "silent"]
        # drawn of those in which the codes are 0 on every token
        assert (peaks.loc[silent["sample_id"], feature] == 0).all() and (silent["peak"] == 0).all()
        assert len(silent) == min(3, (peaks[feature] == 0).sum()) or feature != NURSE
        own = own[own["group"] != "silent"]
        found = own.set_index("sample_id")["peak"]
        np.testing.assert_allclose(found, firing[found.index], rtol=1e-6)
        top = own[own["group"] == "top"]
        np.testing.assert_allclose(top["peak"], firing.to_numpy()[: len(top)], rtol=1e-6)
        assert len(top) == min(5, len(firing))
        if len(firing) < 17:
            continue
        assert own["group"].value_counts().to_dict() == {
            "top": 5,
            "random": 3,
            **{f"part_{i}": 2 for i in range(1, 5)},
        }
        bounds = np.array_split(firing.to_numpy()[5:], 4)
        for i, part in enumerate(bounds, 1):
            assert (
                own.loc[own["group"] == f"part_{i}", "peak"]
                .between(part.min() - 1e-6, part.max() + 1e-6)
                .all()
            )


@pytest.mark.parametrize("language", LANGUAGES)
def test_tokens_histograms_and_neighbours_are_those_of_the_codes_and_the_decoder(explored, language):
    corpus, codes = explored.corpora[language], explored.codes[language]
    examples, tokens = table_of(explored, "examples"), table_of(explored, "tokens")
    ids = np.array(corpus.table.sample_ids)[corpus.table.sample]
    tokens = tokens[tokens["language"] == language]
    # in the examples of the other language too: they are the same pictures
    expected = set()
    wanted = [NURSE, TEMPLATE, DENSE, *range(10, FEATURES, 20)]
    examples, tokens = (table[table["feature"].isin(wanted)] for table in (examples, tokens))
    for feature, sample_id in set(zip(examples["feature"], examples["sample_id"], strict=True)):
        rows = np.flatnonzero((ids == sample_id) & (codes[:, feature] > 0))
        strongest = rows[np.argsort(-codes[rows, feature], kind="stable")][:32]
        expected |= {
            (feature, sample_id, int(corpus.table.position[t]), float(codes[t, feature])) for t in strongest
        }
    found = zip(*(tokens[name] for name in ("feature", "sample_id", "position", "activation")), strict=True)
    assert set(found) == expected
    by_place = {
        (sample, position): t
        for t, (sample, position) in enumerate(zip(ids, corpus.table.position, strict=True))
    }
    for row in tokens.sample(200, random_state=0).itertuples():
        t = by_place[row.sample_id, row.position]
        assert (row.role, row.char_start) == (ROLES[corpus.table.role[t]], corpus.table.char_start[t])

    is_test = (corpus.frame.set_index("sample_id")["split"] == "test")[ids].to_numpy()
    histograms = table_of(explored, "histograms")
    histograms = histograms[histograms["language"] == language].set_index("feature")
    for feature in (NURSE, DENSE, 30, 190):
        values = codes[is_test, feature][codes[is_test, feature] > 0]
        row = histograms.loc[feature]
        assert row["largest"] == values.max()
        counts = np.histogram(values.astype(np.float32) / values.max() * np.float32(20), np.arange(21))[0]
        assert row[[f"bin_{i:02d}" for i in range(20)]].tolist() == counts.tolist()

    unit = explored.decoder / np.linalg.norm(explored.decoder, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -2)
    near = table_of(explored, "neighbours")
    assert (near["neighbour"] != near["feature"]).all()
    best = -np.sort(-cosines, axis=1)[:, :8]
    np.testing.assert_allclose(near["cosine"].to_numpy().reshape(-1, 8), best, atol=1e-5)
    assert near[(near["feature"] == 7) & (near["rank"] == 1)]["neighbour"].item() == 5


def test_words_are_called_masked_where_some_are(explored):
    for sae in explored.data("study")["saes"]:
        assert sae["masked"] == ("caption" in sae["conditions"])


def test_the_table_has_the_numbers_of_the_artifacts(explored):
    table = explored.data("tables/0")
    numbers = {
        name: np.frombuffer(base64.b64decode(text), dtype="<f4") for name, text in table["numbers"].items()
    }
    for language in LANGUAGES:
        codes, effects = explored.codes[language], explored.effects[language]
        np.testing.assert_allclose(numbers[f"rate:{language}"], (codes > 0).mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(numbers[f"max:{language}"], codes.max(axis=0), rtol=1e-6)
        test = effects[effects["split"] == "test"]
        np.testing.assert_allclose(numbers[f"d:{language}:caption"], test["d"], rtol=1e-6)
        verdict = np.where(np.arange(FEATURES) % 3 == 0, 2, np.where(np.arange(FEATURES) % 3 == 1, 1, 0))
        sign = np.where(np.arange(FEATURES) % 2, -1, 1)
        assert numbers[f"gendered:{language}:caption"].tolist() == (verdict * sign).tolist()
    assert numbers["state"][[DEAD, DENSE, NURSE, TEMPLATE]].tolist() == [0, 2, 1, 2]
    assert (numbers["specific:en:ar"] == np.where(np.arange(FEATURES) % 10 == 3, 1, 0)).all()
    words = table["words"]
    assert (words["fires:en"][NURSE], words["fires:ar"][NURSE]) == ("nurse", "ممرضةٌ")
    assert words["fires:en"][TEMPLATE] in ("‹picture›", "‹template›") and words["fires:en"][DEAD] == ""
    assert words["label"][NURSE] == "nurse <u>" and words["label"][DENSE] == "", (
        "a label that does not tell is no label"
    )


def test_a_page_lights_up_what_the_codes_say_and_nothing_is_unlit(explored):
    study = explored.data("study")
    sae = study["saes"][0]
    assert (sae["features"], sae["dead"], study["languages"][1]["dir"]) == (FEATURES, 1, "rtl")
    shards = {k: explored.data(f"features/0/{k}") for k in range(2)}
    assert (
        len(shards[0]) == 199
        and str(DEAD) not in shards[0]
        and set(shards[1]) == {str(i) for i in range(200, FEATURES)}
    )
    per_file = study["samples"]["perFile"]
    samples = {
        start + i: sample
        for start in range(0, study["samples"]["count"], per_file)
        for i, sample in enumerate(explored.data(f"samples/{start // per_file}"))
    }
    frames = {language: explored.corpora[language].frame.set_index("sample_id") for language in LANGUAGES}
    for feature in (NURSE, TEMPLATE, DENSE, DEEP):
        told = shards[feature // 200][str(feature)]
        for language in LANGUAGES:
            assert told["examples"][language]
            for group, number, peak in told["examples"][language]:
                sample, lit = samples[number], told["lit"].get(str(number), {})
                if group == "silent":
                    assert language not in lit and peak == 0, "an example in which it does not fire lights up"
                    continue
                assert lit[language]["on"] or lit[language]["chips"], "an example in which nothing is lit"
                shown = [*lit[language]["on"][2::3], *(chip[2] for chip in lit[language]["chips"])]
                assert max(shown) == pytest.approx(peak, rel=1e-5)
                for code in LANGUAGES:
                    caption = frames[code].loc[sample["id"], "caption"]
                    assert sample["texts"][code] == caption[:LONGEST]
                    units = sample["texts"][code].encode("utf-16-le")
                    on = lit.get(code, {"on": []})["on"]
                    for start, end, _ in zip(on[::3], on[1::3], on[2::3], strict=True):
                        piece = units[2 * start : 2 * end].decode("utf-16-le")
                        assert feature != NURSE or piece in ("nurse", "ممرضةٌ")
    template = shards[0][str(TEMPLATE)]
    chips = next(iter(template["lit"].values()))["en"]["chips"]
    assert sorted(chip[0] for chip in chips) == ["image", "template"] and ["image", "", 2.5, 2] in chips
    assert shards[0][str(NURSE)]["promoted"] == ["she", "<b>"]
    gender = shards[0]["1"]["gender"][0]
    assert (gender["significant"], gender["select"]["significant"], gender["agree"]) == (True, False, False)


def test_pictures_are_small_each_once_and_those_that_the_features_were_read_on(explored, tmp_path):
    pictures = sorted((explored.pages / "pictures").iterdir())
    shown = {sample["id"] for sample in explored.data("samples/0")}
    assert len(pictures) == len(shown) > 20
    with Image.open(pictures[0]) as picture:
        assert picture.size == (128, 64)
    with pytest.raises(InputError, match="sha256"):
        write_picture(explored.pictures / "image_00.png", "0" * 64, tmp_path / "a.jpg")


def test_a_study_of_texts_alone_has_pages_too(explored, tmp_path):
    """An SAE of one language, without pictures, gender, labels and comparisons, and a prompt of its own for each text."""
    folder = explored.dashboards.parent
    table = read_table(folder / "en/en.parquet", "dataset")
    table = table.assign(
        image="", image_sha256="", gender="unknown", prompt=[f"say {i}" for i in range(len(table))]
    )
    write_table(tmp_path / "en.parquet", "dataset", table)
    write_json(
        tmp_path / "summary.json", "summary", {"sites": ["4"], "level": 0.05, "claims": [], "records": {}}
    )
    files = {
        "dataset": {"en": tmp_path / "en.parquet"},
        "dashboards": {"en/4": folder / "own_en/dashboards"},
        "features": {"en/en/4": folder / "own_en/features"},
        "summary": {"": tmp_path / "summary.json"},
    }
    pages, named = tmp_path / "pages", {"en": {"4": "gpt2-small/4-res"}}
    given = PAGE | {"study": "t", "neuronpedia": named, "files": files, "shown": {}, "images": None}
    write_feature_pages(**given, out=pages)
    told = replace(explored, pages=pages)
    (sae,) = told.data("study")["saes"]
    assert (sae["conditions"], sae["pairs"], sae["made"], sae["masked"]) == ([], [], [], False)
    assert sae["neuronpedia"] == "https://www.neuronpedia.org/gpt2-small/4-res"
    assert set(told.data("tables/0")["words"]) == {"fires:en", "label"}
    sample = told.data("samples/0")[0]
    assert (
        sample["prompts"]["en"].startswith("say ")
        and "picture" not in sample
        and not (pages / "pictures").exists()
    )
    feature = told.data("features/0/0")[str(NURSE)]
    assert feature["gender"] == feature["seeds"] == feature["matches"] == [] and "sharing" not in feature
    assert [role["as"] for role in feature["roles"]] == ["specialist"]


def test_what_does_not_fire_is_not_among_the_texts_of_a_feature(explored):
    """A search of texts finds the features that fire in them."""
    uses = explored.data("uses/0")
    starts, samples = (
        np.frombuffer(base64.b64decode(uses[name]), dtype="<f4") for name in ("starts", "samples")
    )
    shard = explored.data("features/0/0")
    own = samples[int(starts[NURSE]) : int(starts[NURSE + 1])].astype(int).tolist()
    of = [row for rows in shard[str(NURSE)]["examples"].values() for row in rows]
    assert own == sorted({sample for group, sample, _ in of if group != "silent"})
    assert {sample for group, sample, _ in of if group == "silent"} - set(own)


def test_a_setting_bounds_the_pages(explored, tmp_path):
    """Those that the study names have theirs, and of the others those that fire most often; all stay in the table."""
    write_feature_pages(**explored.given | {"pages": 20}, out=tmp_path / "pages")
    told = replace(explored, pages=tmp_path / "pages")
    sae = told.data("study")["saes"][0]
    assert (sae["features"], sae["pages"]) == (FEATURES, 20)
    paged = {int(i) for k in range(2) for i in told.data(f"features/0/{k}")}
    assert len(paged) == 20 and {NURSE, DENSE, TEMPLATE} <= paged and DEAD not in paged
    rate = np.max([(codes > 0).mean(axis=0) for codes in explored.codes.values()], axis=0)
    named = {NURSE, DENSE}
    assert min(rate[[*(paged - named)]]) >= max(rate[[i for i in range(FEATURES) if i not in paged]])
    table = told.data("tables/0")
    page = np.frombuffer(base64.b64decode(table["numbers"]["page"]), dtype="<f4")
    assert {*np.flatnonzero(page)} == paged and len(page) == FEATURES
    uses = told.data("uses/0")
    starts = np.frombuffer(base64.b64decode(uses["starts"]), dtype="<f4")
    assert {*np.flatnonzero(np.diff(starts))} == paged
    size = sum(file.stat().st_size for file in (told.pages / "data/features").rglob("*.js"))
    whole = sum(file.stat().st_size for file in (explored.pages / "data/features").rglob("*.js"))
    assert size < whole / 4
