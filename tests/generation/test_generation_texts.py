"""The stage `texts`: faithful to transformers' own decoding, seeded, independent of the batch, told in full."""

import json
import shutil

import numpy as np
import pytest
import torch
from tiny import save_tiny_vlm
from transformers import TopPLogitsWarper
from writers import ENDS, PROMPTS

from crosslens.errors import InputError
from crosslens.generation.sampling import draw_uniforms, pick_tokens
from crosslens.generation.texts import generate_texts
from crosslens.models.inputs import Sample, build_inputs
from crosslens.models.load import load_model
from crosslens.tables.documents import read_json, read_table

SPLITS = {"train": 0.6, "select": 0.2, "test": 0.2}


def _generate(folder, out, **changes):
    """(table, metadata, summary) of a run into the new folder `out`."""
    settings = {
        "model": {"id": str(folder), "device": "cpu"},
        "prompts": PROMPTS,
        "language": "en",
        "samples_per_prompt": 3,
        "max_new_tokens": 16,
        "temperature": 1.0,
        "top_p": 0.95,
        "batch": 64,
        "seed": 0,
        "splits": SPLITS,
        "split_seed": 0,
    } | changes
    out.mkdir(parents=True, exist_ok=True)
    paths = out / "table.parquet", out / "metadata.json", out / "summary.json"
    generate_texts(**settings, **dict(zip(("out_table", "out_metadata", "out_summary"), paths, strict=True)))
    assert sorted(out.iterdir()) == sorted(paths)
    return (
        read_table(paths[0], "dataset"),
        read_json(paths[1], "generation_metadata"),
        read_json(paths[2], "dataset_summary"),
    )


@pytest.fixture(scope="module", params=["chat", "plain", "ending"])
def written(request, folders, tmp_path_factory):
    return request.param, *_generate(folders[request.param], tmp_path_factory.mktemp("texts") / "a")


def test_a_dataset_of_every_text(written):
    _, table, metadata, summary = written
    assert table["row"].is_unique and table["sample_id"].is_unique
    assert table["prompt"].tolist() == np.repeat(PROMPTS, 3)[table["row"] - 1].tolist()
    assert table.groupby("image_id")["split"].nunique().max() == 1, "all texts of a prompt in one split"
    assert set(table["split"]) == {"train", "select", "test"}
    assert set(table["gender"]) == {"unknown"} and set(table["label_spans"]) == {"[]"}
    assert table.groupby("image_id")["caption"].nunique().max() > 1, "samples of one prompt differ"
    assert summary["rows"] == len(table) == sum(cell["rows"] for cell in summary["counts"])
    assert summary["rows"] + len(summary["quarantine"]) == len(metadata["texts"]) == 15


def test_each_token_has_its_place_in_the_text(written):
    _, table, metadata, _ = written
    told = {text["sample_id"]: text for text in metadata["texts"]}
    for row in table.itertuples():
        ids, start, end = (json.loads(value) for value in (row.token_ids, row.char_start, row.char_end))
        text = told[row.sample_id]
        assert (text["token_ids"], text["generated_text"], text["prompt"]) == (ids, row.caption, row.prompt)
        assert text["offsets"] == [list(span) for span in zip(start, end, strict=True)]
        assert len(text["tokens"]) == len(ids) == len(start)
        done, pieces = 0, []
        for low, high in text["offsets"]:
            if low >= 0:
                pieces.append(row.caption[max(low, done) : high])
                done = high
        assert "".join(pieces) == row.caption


def test_where_texts_end(written):
    name, table, _, _ = written
    if name == "ending":
        assert set(table["finish"]) == {"eos", "length"}
    for row in table.itertuples():
        ids = json.loads(row.token_ids)
        if name == "ending":
            assert not set(ids[:-1]) & set(ENDS)
            assert (ids[-1] in ENDS) == (row.finish == "eos")
        assert len(ids) == 16 or row.finish == "eos"


def test_a_text_that_ends_at_once_is_listed_and_left_out(folders, tmp_path):
    table, metadata, summary = _generate(
        folders["ending"], tmp_path / "a", samples_per_prompt=12, temperature=3.0, top_p=1.0
    )
    at_once = {text["sample_id"] for text in metadata["texts"] if text["token_ids"][0] in ENDS}
    listed = {text["sample_id"] for text in metadata["texts"]} - set(table["sample_id"])
    assert at_once and at_once <= listed
    assert len(summary["quarantine"]) == len(listed)
    numbers = {text["sample_id"]: i for i, text in enumerate(metadata["texts"], 1)}
    assert [numbers[id] for id in table["sample_id"]] == table["row"].tolist(), "rows keep their numbers"


def test_same_bytes_again_and_after_a_kill(folders, tmp_path, monkeypatch):
    import crosslens.generation.texts as module

    _generate(folders["chat"], tmp_path / "whole", batch=6)
    real, calls = module.answer, []

    def killed(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(module, "answer", killed)
    with pytest.raises(KeyboardInterrupt):
        _generate(folders["chat"], tmp_path / "again", batch=6)
    _generate(folders["chat"], tmp_path / "again", batch=6)
    assert len(calls) == 4, "the finished batch is not made again"
    for file in (tmp_path / "whole").iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()


def test_a_text_does_not_depend_on_its_batch_nor_on_the_other_prompts(written, folders, tmp_path):
    name, table, _, _ = written
    fewer, _, _ = _generate(
        folders[name], tmp_path / "b", samples_per_prompt=1, batch=1, prompts=PROMPTS[:0:-1]
    )
    expected = table[table["sample_id"].str.endswith("#0")].set_index("prompt")["token_ids"]
    found = fewer.set_index("prompt")["token_ids"]
    assert found.to_dict() == expected[found.index].to_dict()
    other, _, _ = _generate(folders[name], tmp_path / "c", seed=1)
    assert other["token_ids"].tolist() != table["token_ids"].tolist()


@pytest.mark.parametrize("name", ["chat", "plain", "ending"])
def test_greedy_equals_transformers(name, folders, tmp_path):
    """Own decoding with left padding, cache and rows that leave the batch, against model.generate of each prompt."""
    found, _, _ = _generate(folders[name], tmp_path / "d", samples_per_prompt=1, temperature=0.0)
    loaded = load_model(str(folders[name]), device="cpu")
    for row in found.itertuples():
        if loaded.tokenizer.chat_template:
            turn = [{"role": "user", "content": row.prompt}]
            ids = loaded.tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_tensors="pt")
            ids = ids["input_ids"]
        else:
            ids = loaded.tokenizer(row.prompt, return_tensors="pt")["input_ids"]
        expected = loaded.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=16, do_sample=False
        )
        assert json.loads(row.token_ids) == expected[0, ids.shape[1] :].tolist()


def test_a_nucleus_is_the_fewest_tokens_that_hold_its_share():
    probability = torch.tensor([0.05, 0.4, 0.15, 0.3, 0.1], dtype=torch.float64)
    uniform = torch.from_numpy(draw_uniforms(0, "en", "x", 0, 40_000))
    ids = pick_tokens(probability.log().expand(len(uniform), -1), uniform, temperature=1.0, top_p=0.8)
    share = np.bincount(ids.numpy(), minlength=5) / len(ids)
    assert share == pytest.approx(np.array([0, 0.4, 0.15, 0.3, 0]) / 0.85, abs=0.01)


@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_the_nucleus_is_that_of_transformers(top_p, temperature):
    """Inversion at a grid of levels reaches every token of the nucleus that is wide enough, and no other."""
    logits = 3 * torch.randn(4, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    kept = TopPLogitsWarper(top_p)(None, logits / temperature).softmax(dim=-1)
    levels = torch.arange(0.5, 20_000) / 20_000
    for row, expected in zip(logits, kept, strict=True):
        ids = pick_tokens(row.expand(len(levels), -1), levels, temperature, top_p)
        found = torch.bincount(ids, minlength=50) / len(levels)
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=2e-4)


def test_three_prompts_fill_three_splits(folders, tmp_path):
    table, _, _ = _generate(folders["plain"], tmp_path / "e", prompts=PROMPTS[:3], max_new_tokens=2)
    assert sorted(table["split"]) == sorted(["train", "select", "test"] * 3)


def test_outputs_that_are_not_asked_for_are_not_written(folders, tmp_path):
    _generate(folders["plain"], tmp_path / "f", max_new_tokens=2)
    (tmp_path / "g").mkdir()
    generate_texts(
        model={"id": str(folders["plain"]), "device": "cpu"},
        prompts=PROMPTS,
        language="en",
        samples_per_prompt=3,
        max_new_tokens=2,
        temperature=1.0,
        top_p=0.95,
        batch=64,
        seed=0,
        splits=SPLITS,
        split_seed=0,
        out_table=None,
        out_metadata=tmp_path / "g" / "metadata.json",
        out_summary=None,
    )
    (only,) = (tmp_path / "g").iterdir()
    assert only.read_bytes() == (tmp_path / "f" / "metadata.json").read_bytes()


def test_the_metadata_name_no_place_of_this_machine(folders, tmp_path):
    shutil.copytree(folders["chat"], tmp_path / "elsewhere" / "chat")
    _generate(folders["chat"], tmp_path / "h", max_new_tokens=2)
    _generate(tmp_path / "elsewhere" / "chat", tmp_path / "i", max_new_tokens=2)
    for file in (tmp_path / "h").iterdir():
        assert file.read_bytes() == (tmp_path / "i" / file.name).read_bytes()
    metadata = read_json(tmp_path / "h" / "metadata.json", "generation_metadata")
    assert metadata["model"] == {"name": "chat", "revision": "", "dtype": "float32"}
    assert metadata["chat_template"] is True


def test_a_vision_models_template_may_be_its_processors_alone(tmp_path):
    """As in checkpoints that hold it as chat_template.json."""
    folder = save_tiny_vlm(tmp_path / "model")
    template = folder / "chat_template.jinja"
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": template.read_text()}))
    template.unlink()
    assert load_model(str(folder), device="cpu").tokenizer.chat_template is None
    _, metadata, _ = _generate(folder, tmp_path / "out", max_new_tokens=2)
    assert metadata["chat_template"] is True


@pytest.mark.parametrize(
    "changes",
    [
        {"prompts": PROMPTS[:2]},
        {"prompts": [*PROMPTS, PROMPTS[0]]},
        {"prompts": [*PROMPTS, " "]},
        {"prompts": [*PROMPTS, "a <end_of_turn> b"]},
        {"temperature": 0.0},
        {"samples_per_prompt": 0},
        {"max_new_tokens": 0},
        {"top_p": 0.0},
        {"top_p": 1.1},
    ],
    ids=str,
)
def test_bad_settings_are_told(folders, tmp_path, changes):
    with pytest.raises(InputError):
        _generate(folders["chat"], tmp_path / "z", **changes)


def test_prompts_reach_the_model_in_its_template(writer):
    """What the stage feeds is what the tokenizer's own template gives."""
    batch = build_inputs(writer, [Sample("x", "", PROMPTS[0])], images=None, with_caption=False)
    text = writer.tokenizer.decode(batch.inputs["input_ids"][0])
    framed = f"<start_of_turn>user\n{PROMPTS[0]}<end_of_turn>\n<start_of_turn>model\n"
    assert text == "<bos>" + (framed if writer.tokenizer.chat_template else PROMPTS[0])
