"""What the stage writes: the document, the values and pictures that show them."""

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex
from tiny import save_dataset

from crosslens.errors import InputError
from crosslens.figures.style import GREY, save
from crosslens.figures.token_heatmaps import cosines_figure, dimensions_figure, sites_figure
from crosslens.models.inputs import Sample
from crosslens.models.load import load_model
from crosslens.tables.arrays import open_array, open_group, read_rows
from crosslens.tables.documents import read_json
from crosslens.tokens import inspect
from crosslens.tokens.inspect import cosine_rows, inspect_tokens, site_rows
from crosslens.tokens.measure import SCALES, token_activations
from crosslens.tokens.select import Selection

TEXTS = [
    {"language": "ar", "text": "المَرأةُ تحمل ظرفا وبدراجتها", "prompt": "صف الصورة."},
    {"language": "en", "text": "A woman holds a red book"},
]
SELECT = {"words": ["مرأة", "woman", "دراجة"], "positions": [0]}
SITES = ["1", "2.attn_out"]


@pytest.fixture(scope="module")
def inspected(text_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("inspected") / "out"
    model = {"id": str(text_folder), "device": "cpu"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crosslens.figures.style.LINES", {})  # tests/figures/test_formats.py looks at these
        inspect_tokens(model=model, texts=TEXTS, sites=SITES, select=SELECT, out=out)
    return out


@pytest.fixture(scope="module")
def found(text_model):
    samples = [
        Sample("text 1 (ar)", TEXTS[0]["text"], TEXTS[0]["prompt"]),
        Sample("text 2 (en)", "", TEXTS[1]["text"]),
    ]
    select = Selection(**{name: tuple(values) for name, values in SELECT.items()})
    return token_activations(text_model, samples, SITES, language=["ar", "en"], select=select)


def test_the_folder_holds_the_document_the_values_and_the_pictures(inspected, found):
    names = sorted(path.name for path in inspected.iterdir())
    figures = ["norms", *(f"{kind}_{site}" for kind in ("cosines", "dimensions") for site in SITES)]
    drawn = [f"{name}{suffix}" for name in figures for suffix in (".png", ".csv")]
    assert names == sorted(["activations.zarr", "tokens.json", *drawn])
    shown = pd.read_csv(inspected / "norms.csv", dtype={"site": str})
    rows = shown.set_index(["token", "site"])["value"].unstack()[SITES]
    np.testing.assert_allclose(rows, found.relative_norms(), rtol=1e-5)
    document = read_json(inspected / "tokens.json", "token_inspection")
    assert [token["display"] for token in document["tokens"]] == found.tokens["display"].tolist()
    group = open_group(inspected / "activations.zarr", "token_activations")
    for i, site in enumerate(SITES):
        np.testing.assert_array_equal(read_rows(open_array(group, site)), found.at(site))
        np.testing.assert_allclose(document["measures"][site]["norm"], found.norms()[:, i], atol=1e-5)
        np.testing.assert_allclose(
            document["cosines"][site]["activations"], found.cosine_tokens(site), atol=1e-5
        )


def test_the_document_takes_every_word_apart_by_its_tokens(inspected):
    text, english = read_json(inspected / "tokens.json", "token_inspection")["texts"]
    assert text["caption"] == TEXTS[0]["text"] and english["prompt"] == TEXTS[1]["text"]
    mapped = text["maps"]["caption"]
    assert (
        "".join(text["caption"][unit["start"] : unit["end"]] for unit in mapped["units"]) == text["caption"]
    )
    word = mapped["words"][3]
    assert word["text"] == "وبدراجتها" and word["readings"][0][0]["tokens"] == word["tokens"]
    forms = [[part["form"] for part in reading] for reading in word["readings"]]
    parts = word["readings"][forms.index(["و", "ب", "دراجة", "ها"])]
    assert [part["kind"] for part in parts] == ["proclitic", "proclitic", "stem", "enclitic"]
    assert set().union(*(part["tokens"] for part in parts)) == set(word["tokens"])
    assert english["maps"].keys() == {"prompt"}


def test_samples_of_the_dataset_are_added_in_every_language(text_folder, data, tmp_path):
    datasets, _ = data
    model = {"id": str(text_folder), "device": "cpu"}
    plain = {language: save_dataset(tmp_path, language, 3, images=False)[0] for language in ("en", "ar")}
    arguments = {"model": model, "sites": ["1"], "select": {"positions": [-1], "roles": ["caption"]}}
    inspect_tokens(**arguments, datasets=plain, samples=["001#0"], out=tmp_path / "out")
    document = read_json(tmp_path / "out" / "tokens.json", "token_inspection")
    assert [token["sample"] for token in document["tokens"]] == ["001#0 (en)", "001#0 (ar)"]
    with pytest.raises(InputError, match="no sample 9"):
        inspect_tokens(**arguments, datasets=plain, samples=["9"], out=tmp_path / "none")
    with pytest.raises(InputError, match="no vision tower"):
        inspect_tokens(**arguments, datasets=datasets, samples=["001#0"], out=tmp_path / "none")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"texts": [{"language": "en"}]}, "text 1 to inspect"),
        ({"texts": [{"language": "en", "text": "a", "promt": "b"}]}, "promt"),
        ({"texts": [{"language": "en", "text": "a red book " * 40}], "select": {}}, "at most 80"),
        ({"select": {"words": ["zebra"]}}, "zebra"),
        ({"texts": []}, "found none"),
    ],
)
def test_what_cannot_be_inspected_is_refused(text_folder, tmp_path, changed, words):
    arguments = {"texts": TEXTS, "sites": ["1"], "select": SELECT} | changed
    with pytest.raises(InputError, match=words):
        inspect_tokens(model={"id": str(text_folder), "device": "cpu"}, **arguments, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_a_selection_all_text_tokens_are_inspected(text_folder, tmp_path, found):
    arguments = {
        "texts": [{"language": "en", "text": "A red book", "prompt": "Say it."}],
        "sites": ["1"],
        "select": {},
        "model": {"id": str(text_folder), "device": "cpu"},
    }
    # as a job leaves it that is killed before its last picture
    inspect._write_values(tmp_path / "out/activations.zarr", found)
    inspect_tokens(**arguments, out=tmp_path / "out")
    document = read_json(tmp_path / "out" / "tokens.json", "token_inspection")
    assert {token["role"] for token in document["tokens"]} == {"prompt", "caption"}
    assert len(document["tokens"]) == document["reference"]["tokens"]


@pytest.mark.parametrize(
    "scale", [pytest.param(scale, marks=() if scale == "log" else pytest.mark.long) for scale in SCALES]
)
def test_a_site_of_zeros_is_written_and_drawn(text_folder, tmp_path, monkeypatch, scale):
    loaded = load_model(str(text_folder), device="cpu")
    for name, module in loaded.model.named_modules():
        if name.endswith("layers.1.mlp.down_proj"):
            torch.nn.init.zeros_(module.weight)
    monkeypatch.setattr(inspect, "load_model", lambda **_: loaded)
    inspect_tokens(
        model={},
        texts=TEXTS[1:],
        sites=["1", "1.mlp_out"],
        select={"positions": [0]},
        scale=scale,
        out=tmp_path / "out",
    )
    document = read_json(tmp_path / "out" / "tokens.json", "token_inspection")
    assert document["reference"]["median_norm"]["1.mlp_out"] == 0
    measures = document["measures"]["1.mlp_out"]
    assert set(measures["relative_norm"]) == {None} and set(measures["norm"]) == {0}
    assert None not in document["measures"]["1"]["relative_norm"]


def test_a_norm_of_zero_is_grey_and_says_so(found, tmp_path):
    values = site_rows(found, found.relative_norms())
    values.loc[2, "value"] = 0.0
    figure = sites_figure(found.tokens, values, title="", what="", centre=1)
    save(figure, tmp_path / "norms.png", values)
    axes = figure.axes[0]
    assert axes.images[0].get_array().mask.ravel().tolist() == [i == 2 for i in range(len(values))]
    assert to_hex(axes.images[0].cmap.get_bad()) == GREY.lower()
    assert [text.get_text() for text in axes.texts].count("0") == 1
    assert "Grey: 0" in figure.get_supxlabel()


def labels(axes):
    return [label.get_text() for label in axes.get_yticklabels()]


def test_the_heat_maps_show_the_values(found):
    tokens = found.tokens
    names = [f"\u200e{p} · {d}" for p, d in zip(tokens["position"], tokens["display"], strict=True)]
    figure = sites_figure(
        tokens, site_rows(found, found.relative_norms()), title="Norms", what="ratio", centre=1
    )
    axes = figure.axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), found.relative_norms())
    assert labels(axes) == names and [t.get_text() for t in axes.get_xticklabels()] == SITES
    tidy = found.dimensions("1", count=6)
    axes = dimensions_figure(tokens, tidy, site="1", scale="as it is", limit=3.0).axes[0]
    dims = [int(t.get_text()) for t in axes.get_xticklabels()]
    np.testing.assert_array_equal(axes.images[0].get_array(), found.scaled("1")[:, dims])
    assert axes.images[0].get_clim() == (-3, 3)
    figure = cosines_figure(tokens, cosine_rows(found, "1"), site="1")
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), found.cosine_tokens("1"))
    np.testing.assert_array_equal(
        figure.axes[1].images[0].get_array(), found.cosine_tokens("1", centred=True)
    )


def test_what_the_font_lacks_is_named(found, recwarn, tmp_path):
    tokens = found.tokens.head(2).assign(display=["🚴 a", "ـدر\u200d"])
    values = site_rows(found, found.relative_norms()).query("token < 2")
    figure = sites_figure(tokens, values, title="", what="", centre=1)
    save(figure, tmp_path / "norms.png", values)
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]
    assert [label.split(" · ")[1] for label in labels(figure.axes[0])] == ["U+1F6B4  a", "ـدر\u200d"]


def test_colours_are_as_far_on_both_sides(found):
    values = found.along({site: np.ones(found.values.shape[2]) for site in SITES})
    figure = sites_figure(tokens := found.tokens, site_rows(found, values), title="", what="", centre=0)
    low, high = figure.axes[0].images[0].get_clim()
    assert low == -high and high == pytest.approx(np.abs(values).max())
    figure = sites_figure(tokens, site_rows(found, found.relative_norms()), title="", what="", centre=1)
    low, high = figure.axes[0].images[0].get_clim()
    assert low * high == pytest.approx(1)
