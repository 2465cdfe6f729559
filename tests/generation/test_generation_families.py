"""Decoding in every family of models, with pictures in those that see: against model.generate."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_families import TEXT_FAMILIES, VISION_FAMILIES
from writers import PROMPTS, row_of

from crosslens.generation.continuation import encode_continuations
from crosslens.generation.decode import decode
from crosslens.models.inputs import PADDING, Sample, build_inputs, collate
from crosslens.models.load import load_model

NEW = 6


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    pixels = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "a.png")
    return folder


@pytest.fixture(scope="module", params=[*TEXT_FAMILIES, *VISION_FAMILIES])
def family(request, tmp_path_factory):
    save = {**TEXT_FAMILIES, **VISION_FAMILIES}[request.param]
    return load_model(str(save(tmp_path_factory.mktemp(request.param) / "model")), device="cpu")


@pytest.mark.parametrize("image", ["", "a.png"])
def test_every_family_writes_as_in_transformers(family, picture, image):
    if image and not family.adapter.is_vision:
        pytest.skip("sees no images")
    samples = [Sample(f"{i}#0", "", prompt, image) for i, prompt in enumerate(PROMPTS)]
    prompts = build_inputs(family, samples, images=picture, with_caption=False)
    expected = family.model.generate(
        **prompts.inputs, max_new_tokens=NEW, do_sample=False, eos_token_id=None
    )[:, prompts.inputs["input_ids"].shape[1] :].tolist()
    unread = torch.zeros(2 * len(samples), NEW)
    assert decode(family, prompts, unread, draws=2, temperature=0, ends=[]) == [
        ids for ids in expected for _ in range(2)
    ]
    # The first row ends early and leaves the batch.
    ends = [expected[0][1]]
    short = decode(family, prompts, unread[: len(samples)], draws=1, temperature=0, ends=ends)
    for ids, whole in zip(short, expected, strict=True):
        stop = whole.index(ends[0]) + 1 if ends[0] in whole else NEW
        assert ids == whole[:stop]


def test_in_every_family_a_forward_pass_predicts_what_was_written(family):
    samples = [Sample(f"{i}#0", "", prompt) for i, prompt in enumerate(PROMPTS)]
    prompts = build_inputs(family, samples, images=None, with_caption=False)
    written = decode(family, prompts, torch.zeros(len(samples), NEW), draws=1, temperature=0, ends=[])
    rows = [row_of(family.tokenizer, *pair) for pair in zip(samples, written, strict=True)]
    batch = collate(family, encode_continuations(family, rows), [])
    with torch.inference_mode():
        best = family.model(**batch.inputs).logits.argmax(dim=-1)
    assert (batch.role[:, -1] != PADDING).all()
    assert best[:, -NEW - 1 : -1].tolist() == written
    assert [json.loads(row["token_ids"]) for row in rows] == written
