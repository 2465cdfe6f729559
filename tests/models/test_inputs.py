"""Roles, characters, padding and pixels of model inputs."""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import IMAGE_TOKENS, LAYERS, PROMPTS, save_tiny_text

from crosslens.errors import InputError
from crosslens.models.hooks import capture
from crosslens.models.inputs import PADDING, build_inputs
from crosslens.models.load import load_model
from crosslens.tables.tokens import ROLES


def texts_of(batch, i, role, text):
    """The distinct spans of the tokens of a role, cut out of `text` one behind the other."""
    chosen = batch.role[i] == ROLES.index(role)
    spans = torch.stack([batch.char_start[i], batch.char_end[i]], dim=1)[chosen].tolist()
    done, pieces = 0, []
    for start, end in spans:
        if start >= 0:
            assert start < end
            pieces.append(text[max(start, done) : end])
            done = end
    return "".join(pieces)


@pytest.mark.parametrize("language", ["en", "ar"])
def test_spans_give_caption_and_prompt_back(vlm, data, language):
    rows, images = data
    batch = build_inputs(vlm, rows[language], images=images, with_caption=True)
    for i, row in enumerate(rows[language]):
        assert texts_of(batch, i, "caption", row["caption"]) == row["caption"]
        assert texts_of(batch, i, "prompt", row["prompt"]) == row["prompt"]


@pytest.mark.parametrize("caption", ["ظل الشجرة", "x 😀 ظ", " two  spaces\n", "a\u200fb", "é\u0301"])
def test_bytes_and_odd_characters(vlm, data, caption):
    """A piece of a character spans the whole character."""
    rows, images = data
    batch = build_inputs(vlm, [{**rows["ar"][0], "caption": caption}], images=images, with_caption=True)
    assert texts_of(batch, 0, "caption", caption) == caption


def test_a_space_piece_spans_its_space(vlm, data):
    rows, images = data
    row = rows["en"][0]
    batch = build_inputs(vlm, [row], images=images, with_caption=True)
    chosen = batch.role[0] == ROLES.index("caption")
    pieces = vlm.tokenizer.convert_ids_to_tokens(batch.inputs["input_ids"][0][chosen].tolist())
    spans = zip(batch.char_start[0][chosen].tolist(), batch.char_end[0][chosen].tolist(), strict=True)
    assert [piece.replace("▁", " ") for piece in pieces] == [
        row["caption"][start:end] for start, end in spans
    ]


@pytest.mark.parametrize("side", ["left", "right"])
def test_roles_with_padding_and_images(vlm, data, side):
    rows, images = data
    batch = build_inputs(vlm, rows["en"], images=images, with_caption=True, padding_side=side)
    ids, mask = batch.inputs["input_ids"], batch.inputs["attention_mask"]
    assert (mask.sum(1) < mask.shape[1]).any()
    assert torch.equal(batch.role == PADDING, mask == 0)
    column = 0 if side == "left" else -1
    assert (batch.role[:, column] == PADDING).any() and (batch.role[:, -1 - column] != PADDING).all()
    image = batch.role == ROLES.index("image")
    assert torch.equal(image, ids == vlm.adapter.image_token_id)
    assert (image.sum(1) == IMAGE_TOKENS).all()
    assert torch.equal(batch.inputs["token_type_ids"] == 1, image)
    assert ((batch.role == ROLES.index("bos")).sum(1) == 1).all()
    assert torch.equal(batch.role == ROLES.index("bos"), ids == vlm.tokenizer.bos_token_id)
    special = {
        vlm.tokenizer.convert_ids_to_tokens(int(id)) for id in ids[batch.role == ROLES.index("special")]
    }
    assert special == {"<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>"}
    for i in range(len(ids)):
        assert batch.position[i][mask[i] == 1].tolist() == list(range(int(mask[i].sum())))
        words = vlm.tokenizer.decode(
            ids[i][(batch.role[i] == ROLES.index("prompt")) & (batch.char_start[i] < 0)]
        )
        assert words.split() == ["user", "model"]


def test_nothing_behind_the_caption_passes_for_prompt(vlm, data):
    rows, images = data
    batch = build_inputs(vlm, rows["en"], images=images, with_caption=True)
    for role, position in zip(batch.role, batch.position, strict=True):
        caption = position[role == ROLES.index("caption")]
        assert position[role == ROLES.index("prompt")].max() < caption.min()
        assert caption.max() == position.max() - 1


@pytest.mark.parametrize("language", ["en", "ar"])
def test_inputs_are_those_of_the_models_own_processor(vlm, data, language):
    rows, images = data
    chosen = rows[language][:4]
    texts = [
        f"<bos><start_of_turn>user\n<start_of_image>{row['prompt']}<end_of_turn>\n"
        f"<start_of_turn>model\n{row['caption']}<end_of_turn>"
        for row in chosen
    ]
    pictures = [[Image.open(images / row["image"])] for row in chosen]
    expected = vlm.processor(
        images=pictures, text=texts, return_tensors="pt", padding=True, add_special_tokens=False
    )
    batch = build_inputs(vlm, chosen, images=images, with_caption=True)
    for name in ("input_ids", "attention_mask", "token_type_ids", "pixel_values"):
        assert torch.equal(batch.inputs[name], expected[name]), name


def test_without_caption_the_text_ends_where_the_answer_begins(vlm, data):
    rows, images = data
    batch = build_inputs(vlm, rows["en"][:2], images=images, with_caption=False)
    assert not (batch.role == ROLES.index("caption")).any()
    assert vlm.tokenizer.decode(batch.inputs["input_ids"][0]).endswith("<start_of_turn>model\n")
    forced = build_inputs(vlm, rows["en"][:1], images=images, with_caption=True)
    length = int(batch.inputs["attention_mask"][0].sum())
    prompt = batch.inputs["input_ids"][0][-length:]
    assert torch.equal(forced.inputs["input_ids"][0][:length], prompt)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_batch_gives_what_its_samples_give_alone(vlm, data, side):
    rows, images = data
    sites = [str(layer) for layer in range(LAYERS)]

    def values(chosen):
        batch = build_inputs(vlm, chosen, images=images, with_caption=True, padding_side=side)
        with torch.inference_mode(), capture(vlm, sites, stop=True) as found:
            vlm.model(**batch.inputs, use_cache=False)
        return batch, found

    batch, together = values(rows["ar"])
    for i, row in enumerate(rows["ar"]):
        _, alone = values([row])
        for site in sites:
            assert torch.allclose(together[site][i][batch.role[i] != PADDING], alone[site][0], atol=1e-4)


def test_token_type_ids_matter(vlm, data):
    """The reason for passing them: without them the image is attended to causally and no error is raised."""
    rows, images = data
    inputs = build_inputs(vlm, rows["en"][:1], images=images, with_caption=True).inputs
    with torch.inference_mode():
        right = vlm.model(**inputs).logits
        del inputs["token_type_ids"]
        assert not torch.allclose(vlm.model(**inputs).logits, right, atol=1e-4)


def test_samples_with_and_without_images_mix(vlm, data):
    rows, images = data
    bare = {**rows["en"][1], "image": ""}
    batch = build_inputs(vlm, [rows["en"][0], bare], images=images, with_caption=True)
    assert batch.inputs["pixel_values"].shape[0] == 1
    assert (batch.role == ROLES.index("image")).sum(1).tolist() == [IMAGE_TOKENS, 0]
    with torch.inference_mode():
        assert torch.isfinite(vlm.model(**batch.inputs).logits).all()


def test_a_tokenizer_without_a_template(tmp_path, data):
    loaded = load_model(str(save_tiny_text(tmp_path / "plain", chat=False)), device="cpu")
    row = {**data[0]["en"][0], "image": ""}
    batch = build_inputs(loaded, [row], images=None, with_caption=True)
    assert (batch.role == ROLES.index("bos")).sum() == 1 and batch.role[0, 0] == ROLES.index("bos")
    assert texts_of(batch, 0, "caption", row["caption"]) == row["caption"]
    assert texts_of(batch, 0, "prompt", row["prompt"]) == row["prompt"]


def test_a_text_only_model_refuses_images(text_model, data):
    rows, images = data
    with pytest.raises(InputError, match="no vision tower"):
        build_inputs(text_model, rows["en"], images=images, with_caption=True)


@pytest.mark.parametrize("text", ["a <end_of_turn> b", "<start_of_image>", "<image_soft_token>", "<bos>"])
@pytest.mark.parametrize("column", ["caption", "prompt"])
def test_special_tokens_in_texts_are_refused(vlm, data, column, text):
    rows, images = data
    with pytest.raises(InputError, match="sample 000#0.*special token"):
        build_inputs(vlm, [{**rows["en"][0], column: text}], images=images, with_caption=True)


def test_changed_missing_and_broken_images_are_named(vlm, data, tmp_path):
    rows, images = data
    row = rows["en"][0]

    def build(folder, row=row):
        return build_inputs(vlm, [row], images=folder, with_caption=True)

    with pytest.raises(InputError, match="no image folder"):
        build(None)
    with pytest.raises(InputError, match="no file"):
        build(tmp_path)
    (tmp_path / row["image"]).write_bytes((images / rows["en"][1]["image"]).read_bytes())
    with pytest.raises(InputError, match=r"sha256 .* for sample 000#0"):
        build(tmp_path)
    (tmp_path / row["image"]).write_bytes(b"no picture")
    with pytest.raises(
        InputError, match="a file that is not an image .10 bytes.; expected the image of sample 000#0"
    ):
        build(tmp_path, {**row, "image_sha256": ""})


def test_grey_pictures_become_rgb(vlm, data, tmp_path):
    Image.fromarray(np.zeros((20, 30), dtype=np.uint8)).save(tmp_path / "grey.png")
    row = {"sample_id": "x", "caption": "A driver.", "prompt": PROMPTS["en"], "image": "grey.png"}
    batch = build_inputs(vlm, [row], images=tmp_path, with_caption=True)
    assert batch.inputs["pixel_values"].shape[1] == 3
