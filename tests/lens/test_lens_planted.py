"""The embedded model, whose bias is known: gender comes with depth. Minutes: `pytest -m long`."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from crosslens.figures.attention import draw_attention_figure
from crosslens.figures.lens import draw_lens_figure
from crosslens.gender.agreement import Place
from crosslens.gender.agreement import log_odds as last_odds
from crosslens.lens.attention import measure_attention
from crosslens.lens.lenses import load_rows
from crosslens.lens.reading import read_lenses
from crosslens.lens.tuned import fit_lenses
from crosslens.models.load import load_model
from crosslens.planted.source import draw_source
from crosslens.report.sections import attention as attention_section
from crosslens.report.sections import lens as lens_section
from crosslens.tables.documents import read_json, read_table, write_table

WORDS = {"en": ("woman", "man"), "ar": ("امرأة", "رجل")}
PROMPTS = {"en": "Describe the picture.", "ar": "صف الصورة."}
COLUMN = {"en": "english_prompt", "ar": "arabic_prompt"}
SETTINGS = {"samples": 40, "batch": 16, "seed": 0}
READ = {"bootstraps": 100, "permutations": 400}


def table(folder, language) -> pd.DataFrame:
    """Rows of kind dataset of the drawn pictures, each with the word in its caption that tells the gender."""
    rows = []
    for i, row in enumerate(pd.read_csv(folder / "captions.csv").to_dict("records")):
        caption = row[COLUMN[language]]
        word = re.search(r"\b({})\b".format("|".join(WORDS[language])), caption)
        rows.append(
            {
                "sample_id": f"{row['image_id']}#0",
                "image_id": row["image_id"],
                "group": row["image_id"],
                "row": i + 1,
                "caption": caption,
                "prompt": PROMPTS[language],
                "gender": row["ground_truth_gender"],
                "gender_source": "column",
                "category": row["category"],
                "image": f"{row['image_id']}.png",
                "image_sha256": "",
                "split": ("train", "test")[i // 10 % 2],
                "label_spans": f"[[{word.start()}, {word.end()}]]" if word else "[]",
            }
        )
    return pd.DataFrame(rows)


def read(folder, language, model, dataset, images, lenses):
    out = folder / language
    read_lenses(
        model=model,
        lenses=lenses,
        dataset=dataset,
        images=images,
        language=language,
        out=out,
        **SETTINGS,
        **READ,
    )
    return read_json(out / "lens.json", "lens_reading"), read_table(out / "readings.parquet", "lens_readings")


@pytest.mark.long
def test_gender_comes_with_depth_and_is_the_models_own_in_the_end(tmp_path, request):
    model = {"id": str(request.config.rootpath / "resources/planted"), "device": "cpu"}
    draw_source(tmp_path / "source", images=240, seed=5)
    datasets, images = {}, tmp_path / "source/images"
    for language in WORDS:
        datasets[language] = tmp_path / f"{language}.parquet"
        write_table(datasets[language], "dataset", table(tmp_path / "source", language))
    fit_lenses(
        model=model,
        datasets=datasets,
        images=images,
        tokens=1500,
        epochs=4,
        out=tmp_path / "lenses",
        **SETTINGS,
    )
    fitted = read_json(tmp_path / "lenses/lenses.json", "lenses")
    for bits in fitted["bits"].values():
        logit, tuned = np.array(bits["logit"]), np.array(bits["tuned"])
        assert (tuned <= logit + 1e-9).all() and logit[-1] == tuned[-1] == 0
        assert tuned[0] < logit[0] / 4
    loaded = load_model(**model)
    for language in WORDS:
        said, rows = read(tmp_path, language, model, datasets[language], images, tmp_path / "lenses")
        assert said["gender"]["words"] == list(WORDS[language])
        logit, tuned = (said["gender"]["of"][lens] for lens in ("logit", "tuned"))
        # pictures that show the gender: nothing at first, all of it in the end
        assert logit[-1]["told"]["value"] > 0.95 and logit[-1]["null"]["p"] <= 0.05
        assert abs(logit[0]["difference"]["value"]) < logit[-1]["difference"]["value"] / 4
        # pictures that hide it: the planted shares differ between occupations, and come with depth
        assert logit[-1]["likeness_unknown"] == pytest.approx(1)
        assert logit[0]["likeness_unknown"] < 0.5 < logit[-2]["likeness_unknown"]
        assert tuned[-1]["spread"] == pytest.approx(logit[-1]["spread"])
        # the last block is the model, by a pass of the outcome of the study of agreement
        check = said["gender"]["causal"]["of"]
        assert check["logit"][-1]["correlation"]["value"] == pytest.approx(1, abs=1e-4)
        assert check["logit"][-1]["said"] == pytest.approx(check["logit"][-1]["moved"], rel=1e-4)
        best = max(check["jacobian"], key=lambda of: of["moved"])
        assert best["moved"] > 3 * check["random"][best["layer"]]["moved"]
    assert loaded.n_layers == said["layers"]


PLACES = ["the nurse", "a guard", "this teacher", "the old cook"]


def sentences() -> pd.DataFrame:
    """A sentence of each place in two genders, whose second gendered word is a target."""
    rows = []
    for number, who in enumerate(PLACES):
        for gender, (first, second) in (("female", ("she", "her")), ("male", ("he", "his"))):
            caption = f"{who} says {first} is washing {second} cup."
            starts = [caption.index(f" {word} ") + 1 for word in (first, second)]
            spans = [[at, at + len(word)] for at, word in zip(starts, (first, second), strict=True)]
            rows.append(
                {
                    "sample_id": f"{number}{gender}#0",
                    "image_id": f"{number}{gender}",
                    "group": str(number),
                    "row": len(rows) + 1,
                    "caption": caption,
                    "prompt": "",
                    "gender": gender,
                    "category": "",
                    "image": "",
                    "image_sha256": "",
                    "split": ("train", "test")[number % 2],
                    "label_spans": str(spans),
                }
            )
    return pd.DataFrame(rows)


def test_of_sentences_in_two_genders_the_last_block_is_what_agreement_measures(tmp_path, request):
    """A few sentences, in the model itself."""
    model = {"id": str(request.config.rootpath / "resources/planted"), "device": "cpu"}
    write_table(tmp_path / "en.parquet", "dataset", sentences())
    datasets = {"en": tmp_path / "en.parquet"}
    fit_lenses(
        model=model,
        datasets=datasets,
        images=None,
        tokens=40,
        epochs=1,
        out=tmp_path / "lenses",
        **SETTINGS,
    )
    said, table = read(tmp_path, "en", model, datasets["en"], None, tmp_path / "lenses")
    gender = said["gender"]
    assert gender["places"] == "pairs" and gender["counts"]["female"] == gender["counts"]["male"] == 2
    loaded = load_model(**model)
    expected = [
        last_odds(
            loaded,
            [
                Place(
                    "",
                    f"{PLACES[int(row.group)]} says {'she' if row.gender == 'female' else 'he'} is washing ",
                    "her",
                    "his",
                )
            ],
            batch=1,
        )[0].log_odds
        for row in table[(table["lens"] == "logit") & (table["layer"] == loaded.n_layers - 1)].itertuples()
    ]
    for lens in ("logit", "tuned"):
        found = table[(table["lens"] == lens) & (table["layer"] == loaded.n_layers - 1)]
        np.testing.assert_allclose(found["log_odds"], expected, rtol=1e-4, atol=1e-4)
    last = gender["of"]["logit"][-1]["difference"]["value"]
    assert last == pytest.approx(np.mean(expected[::2]) - np.mean(expected[1::2]), abs=1e-4)
    check = gender["causal"]["of"]["logit"][-1]
    assert check["said"] == pytest.approx(check["moved"], rel=1e-3) and check["moved"] > 0
    rows = load_rows(tmp_path / "en")
    assert rows.shape == (loaded.n_layers, loaded.d_model) and rows.any(dim=1).all()
    draw_lens_figure(readings={"en": tmp_path / "en/lens.json"}, out=tmp_path / "figures")
    assert (tmp_path / "figures/lens.png").stat().st_size > 10_000
    shown = lens_section.section(shown_of("lens_reading", tmp_path / "en"))
    # two groups can be turned round in four ways, two of them as large: no p is below .5, which says nothing
    assert {block["null"]["least_p"] for of in gender["of"].values() for block in of} == {0.5}
    (finding,) = shown.findings
    assert finding.kind == "warning" and "was not tested, because there are too few places" in finding.title
    page = "".join(map(str, shown.body))
    assert page.count("not tested") == loaded.n_layers
    assert f'<data value="{last!r}">' in page and "2 places behind women, 2 behind men" in page


def shown_of(kind, folder):
    """What a section is asked with, as far as these read it."""
    return SimpleNamespace(files={kind: {"en": folder}}, level=0.05, shown=lambda *names: "")


def test_scores_of_heads_are_those_of_the_weights_that_are_stored(tmp_path, request):
    """With nothing below the threshold the table of patterns has all of them."""
    write_table(tmp_path / "en.parquet", "dataset", sentences())
    measure_attention(
        model={
            "id": str(request.config.rootpath / "resources/planted"),
            "device": "cpu",
            "attention": "sdpa",
        },
        dataset=tmp_path / "en.parquet",
        images=None,
        language="en",
        samples=4,
        shown=4,
        threshold=1e-12,
        batch=3,
        bootstraps=20,
        seed=0,
        out=tmp_path / "attention",
    )
    said = read_json(tmp_path / "attention/attention.json", "attention")
    heads = read_table(tmp_path / "attention/heads.parquet", "attention_heads")
    patterns = read_table(tmp_path / "attention/patterns.parquet", "attention_patterns")
    assert said["samples"] == len(said["shown"]) == 4 and said["groups"] == 2
    assert (said["layers"], said["heads"], said["not_available"]) == ([*range(8)], 4, [])
    assert heads[heads["score"] == "image"]["value"].isna().all()
    told = heads.set_index(["score", "layer", "head"])["value"]
    cells = ["sample_id", "layer", "head", "query"]
    apart = (patterns["query"] - patterns["key"]).abs()
    for score, part in {
        "kept": patterns["weight"],
        "previous": patterns["weight"] * (apart == 1),
        "itself": patterns["weight"] * (apart == 0),
        "first": patterns["weight"] * (patterns["key"] == 0),
        "distance": patterns["weight"] * apart,
        "entropy": -patterns["weight"] * np.log2(patterns["weight"]),
    }.items():
        of_query = part.groupby([patterns[name] for name in cells]).sum()
        of_head = of_query.groupby(["sample_id", "layer", "head"]).mean().groupby(["layer", "head"]).mean()
        np.testing.assert_allclose(of_head, told[score].loc[of_head.index], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(told["kept"], 1, atol=1e-4)
    assert told["induction"].between(0, 1).all() and told["induction"].max() > told["induction"].min()
    draw_attention_figure(attention={"en": tmp_path / "attention"}, images=None, out=tmp_path / "figures")
    assert (tmp_path / "figures/attention.png").stat().st_size > 10_000
    shown = attention_section.section(shown_of("attention", tmp_path / "attention"))
    page = "".join(map(str, shown.body))
    assert f'<data value="{float(told["induction"].max())!r}">' in page
    assert page.count('class="example" dir="ltr" lang="en"') == 4 * 3
    assert shown.findings[0].kind == "description"
