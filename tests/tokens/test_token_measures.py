"""Activations of chosen tokens against the model's own hidden states, and measures against numpy and scipy."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cosine

from crosslens.errors import InputError
from crosslens.generation.ids import character_spans, text_of
from crosslens.models.inputs import Sample, as_sample, build_inputs
from crosslens.models.load import load_model
from crosslens.tables.documents import read_table
from crosslens.tokens.measure import SCALES, token_activations
from crosslens.tokens.select import Selection

SAMPLES = [
    Sample("en", "A woman holds a red book.", "Describe the picture."),
    Sample("free", "", "A nurse carries a long red bag in the park"),
    Sample("ar", "امرأة تحمل كتابا أحمر في الحديقة.", "صف الصورة."),
]
LANGUAGES = ["en", "en", "ar"]
SITES = ["0", "2.attn_out", "2"]


@pytest.fixture(scope="module")
def everything(text_model):
    return token_activations(text_model, SAMPLES, SITES, language=LANGUAGES, batch=2)


def alone(loaded, sample, layer, images=None):
    """(T, d) output of a block for one sample without padding, from the model's own hidden states."""
    batch = build_inputs(loaded, [sample], images=images, with_caption=bool(sample.caption))
    with torch.no_grad():
        states = loaded.model(**batch.inputs, output_hidden_states=True, use_cache=False).hidden_states
    return states[layer + 1][0].numpy()


def test_values_are_the_hidden_states_of_every_token(everything, text_model):
    for sample in SAMPLES:
        own = everything.tokens["sample"] == sample.sample_id
        for site in ("0", "2"):
            expected = alone(text_model, sample, int(site))
            assert own.sum() == len(expected)
            np.testing.assert_allclose(everything.at(site)[own], expected, atol=2e-5)
    assert everything.values.dtype == np.float32 and everything.sites == tuple(SITES)


def test_chosen_tokens_are_rows_of_all_tokens(everything, text_model):
    select = Selection(words=("woman", "nurse", "امرأة"))
    some = token_activations(text_model, SAMPLES, SITES, language=LANGUAGES, select=select)
    whole = everything.tokens.reset_index().merge(some.tokens[["sample", "position"]])
    np.testing.assert_allclose(some.values, everything.values[whole["index"]], atol=2e-5)
    assert set(some.tokens["sample"]) == {"en", "free", "ar"}
    assert set(some.tokens.groupby("sample")["text"].sum().str.strip()) == {"woman", "nurse", "امرأة"}
    np.testing.assert_allclose(some.reference.mean, everything.reference.mean, atol=1e-5)


def test_pictures_are_seen(vlm, data):
    datasets, images = data
    rows = read_table(datasets["en"], "dataset").to_dict("records")[:2]
    found = token_activations(vlm, rows, ["1"], images=images, select=Selection(roles=("image", "caption")))
    assert set(found.tokens["role"]) == {"image", "caption"}
    own = found.tokens["sample"] == rows[1]["sample_id"]
    expected = alone(vlm, as_sample(rows[1]), 1, images)[found.tokens["position"][own]]
    np.testing.assert_allclose(found.at("1")[own], expected, atol=2e-5)


def test_generated_ids_are_read_as_they_were_written(text_model):
    tokenizer = text_model.tokenizer
    ids = tokenizer("امرأة ظريفة تحمل", add_special_tokens=False)["input_ids"]
    # what a tokenizer would not write: the first word in single letters
    ids = tokenizer.convert_tokens_to_ids(["▁", "ا", "م"]) + ids[1:]
    spans = character_spans(tokenizer, ids)
    row = {
        "sample_id": "written",
        "prompt": "صف الصورة.",
        "caption": text_of(tokenizer, ids),
        "token_ids": json.dumps(ids),
        "char_start": json.dumps(spans[:, 0].tolist()),
        "char_end": json.dumps(spans[:, 1].tolist()),
    }
    found = token_activations(
        text_model, [SAMPLES[1], row], ["1"], language="ar", select=Selection(roles=("generated", "bos"))
    )
    written = found.tokens[found.tokens["role"] == "generated"]
    assert written["token_id"].tolist() == ids
    mapped = found.maps["written"]["generated"]
    assert "".join(mapped.text[unit.start : unit.end] for unit in mapped.units) == row["caption"]
    (unit,) = (unit for unit in mapped.units if mapped.text[unit.start] == "ظ")
    assert len(unit.tokens) == 2


def test_measures_are_those_of_numpy_and_scipy(everything):
    x = everything.values.astype(np.float64)
    table = everything.table()
    assert len(table) == x.shape[0] * x.shape[1]
    rows = table.sample(20, random_state=0)
    for row in rows.itertuples():
        vector = x[row.token_row, SITES.index(row.site)]
        expected = [np.sqrt((vector**2).sum()), vector.mean(), vector.std(), vector.min(), vector.max()]
        np.testing.assert_allclose([row.norm, row.mean, row.std, row.min, row.max], expected)
    cosines = everything.cosine_tokens("2")
    assert cosines[3, 7] == pytest.approx(1 - cosine(x[3, 2], x[7, 2]))
    np.testing.assert_allclose(np.diag(cosines), 1)
    assert everything.cosine_sites(5)[0, 2] == pytest.approx(1 - cosine(x[5, 0], x[5, 2]))
    mean = everything.reference.mean[2]
    centred = everything.cosine_tokens("2", centred=True)
    assert centred[3, 7] == pytest.approx(1 - cosine(x[3, 2] - mean, x[7, 2] - mean))
    directions = {site: np.random.default_rng(0).normal(size=x.shape[2]) for site in SITES}
    direction = directions["2"]
    np.testing.assert_allclose(
        everything.along(directions)[:, 2], x[:, 2] @ direction / np.sqrt(direction @ direction)
    )


def test_the_reference_is_of_all_text_tokens_and_of_no_others(everything):
    text = everything.tokens["role"].isin(["prompt", "caption"]).to_numpy()
    assert 0 < text.sum() < len(text)
    x = everything.values[text].astype(np.float64)
    assert everything.reference.tokens == text.sum()
    np.testing.assert_allclose(everything.reference.mean, x.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(everything.reference.std, x.std(axis=0), atol=1e-9)
    norms = np.linalg.norm(x, axis=-1)
    np.testing.assert_allclose(everything.reference.median_norm, np.median(norms, axis=0))
    np.testing.assert_allclose(everything.relative_norms()[text], norms / np.median(norms, axis=0))
    z = everything.scaled("2")[text]
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(z.std(axis=0), 1)


def test_dimensions_are_the_most_varying_or_the_named(everything):
    values = everything.scaled("2", "raw")
    order = np.argsort(-values.var(axis=0))
    tidy = everything.dimensions("2", count=5, scale="raw")
    assert tidy["dim"].unique().tolist() == order[:5].tolist()
    named = everything.dimensions("2", [7, 3], scale="raw").pivot(
        index="token", columns="dim", values="value"
    )
    np.testing.assert_array_equal(named[[7, 3]], values[:, [7, 3]])


def test_of_one_token_the_largest_dimensions_are_drawn(text_model):
    one = token_activations(text_model, SAMPLES, ["2"], select=Selection(positions=(2,)), language=LANGUAGES)
    one = replace(one, values=one.values[:1], tokens=one.tokens[:1])
    for scale in SCALES:
        size = np.abs(one.scaled("2", scale)[0])
        dims = one.dimensions("2", count=5, scale=scale)["dim"]
        assert dims.tolist() == np.argsort(-size, kind="stable")[:5].tolist() and size[dims].min() > 0
    assert one.order == "of the largest |value|"


def test_a_nan_in_a_token_that_is_not_chosen_is_named(text_folder):
    """The reference is of all text tokens."""
    loaded = load_model(str(text_folder), device="cpu")
    (last,) = loaded.tokenizer.convert_tokens_to_ids(loaded.tokenizer.tokenize(" park")[-1:])
    with torch.no_grad():
        loaded.model.get_input_embeddings().weight[last] = torch.nan
    with pytest.raises(InputError, match=r"sample free, site 0.resid_pre, position \d+: found a NaN"):
        token_activations(loaded, SAMPLES, ["0.resid_pre"], select=Selection(positions=(0,)))


def test_a_massive_channel_drowns_nothing_when_standardised(everything):
    scale = np.ones(everything.values.shape[2])
    scale[4] = 1e5
    usual = everything.reference
    massive = replace(
        everything,
        values=everything.values * scale.astype(np.float32),
        reference=replace(usual, mean=usual.mean * scale, std=usual.std * scale),
    )
    np.testing.assert_allclose(massive.scaled("2"), everything.scaled("2"), atol=1e-3)
    assert np.abs(massive.scaled("2", "log")).max() < 10


def test_bfloat16_is_read_as_float32(text_folder):
    loaded = load_model(str(text_folder), device="cpu", dtype="bfloat16")
    found = token_activations(loaded, SAMPLES[:1], ["1"])
    assert found.values.dtype == np.float32
    assert np.array_equal(found.values, torch.from_numpy(found.values).bfloat16().float().numpy())


def test_bad_input_is_refused(text_model, everything):
    with pytest.raises(InputError, match="site 9"):
        token_activations(text_model, SAMPLES, ["9"])
    with pytest.raises(InputError, match="'en' twice"):
        token_activations(text_model, [SAMPLES[0]] * 2, ["1"])
    with pytest.raises(InputError, match="2 for 3 texts"):
        token_activations(text_model, SAMPLES, ["1"], language=["en", "ar"])
    with pytest.raises(InputError, match="found none"):
        token_activations(text_model, [], ["1"])
    with pytest.raises(InputError, match="'3'"):
        everything.at("3")
    with pytest.raises(InputError, match="dims"):
        everything.dimensions("2", [999])
    with pytest.raises(InputError, match="scale"):
        everything.scaled("2", "robust")
    with pytest.raises(InputError, match="in none of the 3 texts"):
        token_activations(text_model, SAMPLES, ["1"], select=Selection(text=("<bos>", "zebra")))
