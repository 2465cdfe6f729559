"""The condition `generated`, from the model's own captions to the page, where the study was built without it before."""

import json

import numpy as np
import pytest
import torch
from checkouts import TOY
from safetensors.numpy import load_file

from crosslens.data.labels import find_gendered
from crosslens.data.lexicons import load_lexicon
from crosslens.models.inputs import build_inputs
from crosslens.models.load import load_model
from crosslens.pooling.pool import pool_codes
from crosslens.tables.codes import Codes
from crosslens.tables.documents import read_json, read_table
from crosslens.tables.tokens import read_tokens

pytestmark = pytest.mark.long

CONDITIONS = ["prompt", "caption", "generated"]
PARTS = ("0000", "0001")


@pytest.fixture(scope="module")
def written(built_once, made_once):
    """The study toy with the condition added, and the rules that ran for it."""
    ran = {}

    def build(folder):
        checkout = built_once.copy(folder)
        checkout.configure("toy", {**TOY, "gender": {**TOY["gender"], "conditions": CONDITIONS}})
        ran.update(checkout.run("results/toy/report/index.html"))
        (folder / "ran.json").write_text(json.dumps(ran))

    folder = made_once("written", build)
    return folder / "results/toy", json.loads((folder / "ran.json").read_text())


def test_adding_the_condition_makes_nothing_again_that_was_there(written):
    _, ran = written
    assert {"write_captions", "mask_captions", "extract_written", "build_report"} <= ran.keys()
    assert ran["write_captions"] == ran["extract_written"] == 2 * len(PARTS)
    assert not ran.keys() & {"extract", "train_saes", "generate_captions", "splice_saes", "build_dataset"}


def test_layer_and_page_have_the_condition_beside_the_others(written):
    results, _ = written
    layer = read_json(results / "layers/1.json", "layer")
    for name in ("gender", "probes", "robustness"):
        assert {record["condition"] for record in layer[name]} == set(CONDITIONS), name
    of = {(record["condition"], record["language"]): record for record in layer["words"]}
    for language in TOY["languages"]:
        masked, whole = (of[name, language] for name in ("generated", "generated_whole"))
        assert masked["masked"] > 0 == whole["masked"]
        # what it writes says the gender it sees; without these words less is told
        assert whole["auroc"] > 0.8 and whole["auroc"] > masked["auroc"]
        assert whole["leaks"] is True
    page = (results / "report/index.html").read_text(encoding="utf-8")
    assert "generated = the model writes its own caption" in page and "Writing its own caption" in page
    gender = read_json(results / "gender/joint/en/layer_1/gender.json", "gender")
    assert list(gender["conditions"]) == ["prompt", "caption"]


@pytest.mark.parametrize("language", TOY["languages"])
def test_pooled_codes_are_those_of_a_forward_pass_over_prompt_and_own_ids(written, language):
    """By transformers' own generation and a hook, the SAE by its formula, words masked by their characters."""
    results, _ = written
    table = read_table(results / f"written/{language}.parquet", "dataset")
    parts = [read_table(results / f"written/{language}/part_{part}.parquet", "written") for part in PARTS]
    own = {row.sample_id: row for part in parts for row in part.itertuples()}
    assert len(own) == len(table) == 60 and set(own) == set(table["sample_id"])
    given = read_table(results / f"dataset/{language}.parquet", "dataset")
    assert list(table["gender"]) == list(given["gender"]) and list(table["split"]) == list(given["split"])
    tokens = read_tokens(
        [results / f"activations/{language}/written/tokens/part_{part}.zarr" for part in PARTS]
    )
    codes = Codes(results / f"codes/joint/{language}/written/layer_1.zarr")
    found = pool_codes(codes, tokens, table, condition="generated")
    lexicon = load_lexicon(results.parents[1] / TOY["lexicons"][language], language)
    sae = load_file(results / "sae/joint/layer_1/seed_0/sae_weights.safetensors")
    loaded = load_model(str(results.parents[1] / "resources/planted"), device="cpu")
    model, tokenizer = loaded.model, loaded.tokenizer
    seen = []
    loaded.adapter.blocks[1].register_forward_hook(lambda module, args, output: seen.append(output))
    for row in table.iloc[[0, 7, 31]].itertuples():
        sample = {**given.set_index("sample_id").loc[row.sample_id].to_dict(), "sample_id": row.sample_id}
        inputs = build_inputs(loaded, [sample], images=results / "source/images", with_caption=False).inputs
        inputs.pop("position_ids")
        written_ids = model.generate(**inputs, max_new_tokens=12, do_sample=False)[
            0, inputs["input_ids"].shape[1] :
        ]
        ids = json.loads(own[row.sample_id].token_ids)
        assert written_ids.tolist() == ids and row.caption == own[row.sample_id].caption
        assert tokenizer.decode(ids, skip_special_tokens=True) == row.caption
        more = {
            "input_ids": torch.cat([inputs["input_ids"], written_ids[None]], dim=1),
            "attention_mask": torch.ones(1, inputs["input_ids"].shape[1] + len(ids), dtype=torch.int64),
            "token_type_ids": torch.cat(
                [inputs["token_type_ids"], torch.zeros(1, len(ids), dtype=torch.int64)], dim=1
            ),
            "pixel_values": inputs["pixel_values"],
        }
        seen.clear()
        with torch.inference_mode():
            model(**more)
        x = seen[-1][0, -len(ids) :].bfloat16().float().numpy()
        pre = np.maximum((x - sae["b_dec"]) @ sae["W_enc"] + sae["b_enc"], 0)
        z = np.where(pre >= np.sort(pre, axis=1)[:, [-TOY["sae"]["k"]]], pre, 0)
        spans = [(start, end) for start, end, _ in find_gendered(row.caption, language, lexicon)[0]]
        assert set(spans) <= {tuple(span) for span in json.loads(row.label_spans)}
        starts, ends = (json.loads(getattr(own[row.sample_id], name)) for name in ("char_start", "char_end"))
        kept = [
            at
            for at, (start, end) in enumerate(zip(starts, ends, strict=True))
            if start >= 0 and not any(start < e and s < end for s, e in json.loads(row.label_spans))
        ]
        assert 0 < len(kept) < len(ids)
        pooled = found.values[[found.sample_ids.index(row.sample_id)]].toarray()[0]
        np.testing.assert_allclose(pooled, z[kept].mean(axis=0), rtol=2e-3, atol=2e-3)
