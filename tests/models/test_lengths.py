"""A sample that is too long is refused with its id, its tokens and the limit, before a forward pass."""

import pandas as pd
import pytest
import torch
from tiny import save_dataset, save_tiny_text, save_tiny_vlm

from crosslens.activations.extract import extract
from crosslens.errors import InputError
from crosslens.features import splice
from crosslens.gender.generate import generate_captions
from crosslens.generation.texts import generate_texts
from crosslens.models.inputs import Sample, build_inputs, encode
from crosslens.models.lengths import check_lengths
from crosslens.models.load import load_model
from crosslens.models.picture_tokens import picture_tokens, token_side
from crosslens.tables.documents import read_table, write_table
from crosslens.tokens.measure import token_activations

POSITIONS = 256
"""Of the tiny models."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_text(tmp_path_factory.mktemp("long") / "model")


@pytest.fixture
def unrun(monkeypatch):
    """No model may run."""

    def run(*args, **options):
        raise AssertionError("a forward pass")

    monkeypatch.setattr(torch.nn.Module, "__call__", run)


@pytest.mark.parametrize("size", [(48, 64), (200, 30), (9, 11), (37, 2100)])
def test_what_a_picture_takes_is_known_before_the_model_is_loaded(vision_family, size):
    """Of Qwen2-VL's the tiny processor scales pictures to between 16 and 64 pixels squared."""
    adapter = vision_family.adapter
    token = vision_family.tokenizer.convert_ids_to_tokens(adapter.image_token_id)
    text, config = adapter.image_text(size), adapter.model.config.to_dict()
    there = picture_tokens(config, size, (16 * 16, 64 * 64))
    assert (token_side(config) is not None) == adapter.sized_images
    assert there == (None if config["model_type"] == "mllama" else text.count(token))


def lengthened(folder, words, *, rows=24):
    """A dataset of texts, those of `words` (row → number of words) so long."""
    path, _ = save_dataset(folder, "en", rows, images=False)
    table = read_table(path, "dataset")
    for row, count in words.items():
        table.loc[table["row"] == row, "caption"] = "word " * count
    write_table(path, "dataset", table)
    return path


def extracting(dataset, model, tmp_path, **more):
    (tmp_path / "out").mkdir()
    extract(
        dataset=dataset,
        images=None,
        rows=(1, 24),
        model={"id": str(model), "device": "cpu"},
        sites={"1": tmp_path / "out" / "site.zarr"},
        tokens=tmp_path / "out" / "tokens.zarr",
        **{"batch_tokens": 400, "shard_bytes": 8192, "language": "en"} | more,
    )


def test_all_texts_that_the_model_cannot_place_are_named_with_their_tokens(folder, tmp_path, unrun):
    words = {row: 300 + row for row in range(3, 15)}
    dataset = lengthened(tmp_path, words)
    with pytest.raises(InputError) as found:
        extracting(dataset, folder, tmp_path)
    rows = read_table(dataset, "dataset").to_dict("records")
    loaded = load_model(str(folder), device="cpu")
    samples = [Sample(row["sample_id"], row["caption"], row["prompt"]) for row in rows]
    tokens = {
        s.sample_id: len(e) for s, e in zip(samples, encode(loaded, samples, with_caption=True), strict=True)
    }
    told = str(found.value)
    assert f"sample 002#0: found {tokens['002#0']:,} tokens; 12 samples too long" in told
    for row in range(3, 13):
        assert f"{row - 1:03d}#0 ({tokens[f'{row - 1:03d}#0']:,})" in told
    assert "and 2 more" in told and "013#0" not in told
    assert f"at most {POSITIONS} tokens in each, the positions of " in told and "longer context" in told
    assert not [*(tmp_path / "out").iterdir()]


def test_what_a_batch_does_not_hold_is_refused_too_and_what_it_just_holds_is_not(folder, tmp_path):
    dataset = lengthened(tmp_path, {5: 40})
    with pytest.raises(
        InputError, match=r"sample 004#0: found .* at most 60 tokens in each, the setting"
    ) as found:
        extracting(dataset, folder, tmp_path, batch_tokens=60)
    tokens = int(found.value.found.split()[0])
    assert f"raise activations.batch_tokens to {tokens}" in found.value.mend
    (tmp_path / "out").rmdir()
    extracting(dataset, folder, tmp_path, batch_tokens=tokens)


def test_ten_thousand_words(folder, tmp_path, unrun):
    """They took 23 GB."""
    with pytest.raises(InputError, match=r"sample 000#0: found \d\d,\d{3} tokens; one sample too long"):
        extracting(lengthened(tmp_path, {1: 10_000}), folder, tmp_path, batch_tokens=16384)


def test_a_prompt_is_refused_that_leaves_no_room_for_its_answer(folder, tmp_path, unrun):
    settings = {
        "language": "en",
        "samples_per_prompt": 1,
        "temperature": 0.0,
        "top_p": 1.0,
        "batch": 4,
        "seed": 0,
        "splits": {"train": 0.4, "select": 0.3, "test": 0.3},
        "split_seed": 0,
        "out_table": tmp_path / "table.parquet",
        "out_metadata": None,
        "out_summary": None,
    }
    prompts = ["Describe a nurse.", "word " * 60, "Describe a doctor."]
    (length,) = map(
        len, encode(load_model(str(folder), device="cpu"), [Sample("", "", prompts[1])], with_caption=False)
    )
    assert length <= POSITIONS
    with pytest.raises(InputError) as found:
        generate_texts(
            model={"id": str(folder), "device": "cpu"}, prompts=prompts, max_new_tokens=POSITIONS, **settings
        )
    assert "3 samples too long: prompt_000000" in str(found.value)
    new = POSITIONS + 1 - length
    with pytest.raises(InputError) as found:
        generate_texts(
            model={"id": str(folder), "device": "cpu"}, prompts=prompts, max_new_tokens=new, **settings
        )
    assert f"sample prompt_000001: found {POSITIONS + 1} tokens, {new} of them to be written" in str(
        found.value
    )
    with pytest.raises(InputError, match="one sample too long"):
        generate_texts(
            model={"id": str(folder), "device": "cpu", "batch_tokens": length},
            prompts=prompts,
            max_new_tokens=1,
            **settings,
        )


def test_a_caption_of_a_picture_needs_room_as_well(tmp_path, unrun):
    model = save_tiny_vlm(tmp_path / "model")
    dataset, images = save_dataset(tmp_path / "data", "en", 3)
    with pytest.raises(InputError, match=r"sample 000#0: found .* 250 of them to be written; 3 samples"):
        generate_captions(
            model={"id": str(model), "device": "cpu"},
            dataset=dataset,
            images=images,
            split="all",
            gender=None,
            samples_per_image=2,
            temperature=1.0,
            max_new_tokens=250,
            batch=4,
            seed=0,
            language="en",
            out=tmp_path / "out.parquet",
        )


def test_every_other_pass_refuses_it(folder, unrun):
    long = Sample("long", "word " * 300, "Describe.")
    loaded = load_model(str(folder), device="cpu")
    reads = (
        lambda: build_inputs(loaded, [long], images=None, with_caption=True),
        lambda: token_activations(loaded, [long], ["1"], language="en"),
        lambda: next(splice.batches(loaded, pd.DataFrame([long._asdict()]), None, 4)),
    )
    for read in reads:
        with pytest.raises(InputError, match="sample long: found"):
            read()


def test_a_model_without_positions_has_the_limit_of_its_batches_alone(folder, monkeypatch):
    loaded = load_model(str(folder), device="cpu")
    monkeypatch.delattr(type(loaded.adapter.text_config), "max_position_embeddings", raising=False)
    monkeypatch.delitem(vars(loaded.adapter.text_config), "max_position_embeddings", raising=False)
    assert loaded.adapter.max_tokens is None
    check_lengths(loaded, ["a"], [10**6])
    with pytest.raises(InputError, match="the setting activations.batch_tokens"):
        check_lengths(loaded, ["a"], [101], batch_tokens=100)
