"""Every family's inputs: as its own processor makes them, with the right roles, and good for generation."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from tiny import IMAGE_SIZE
from tiny_families import MISTRAL, PATCH, llama2_tokenizer
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from transformers.image_utils import load_image

from crosslens.errors import InputError
from crosslens.generation.continuation import encode_continuations
from crosslens.generation.ids import character_spans, text_of
from crosslens.models.inputs import (
    PADDING,
    Sample,
    _special_mask,
    build_inputs,
    collate,
    encode,
    frame,
    load_images,
)
from crosslens.tables.tokens import ROLES

PLAIN = ("gpt2", "gpt_neox")
GRID = (IMAGE_SIZE // PATCH) ** 2


def run(loaded, inputs):
    with torch.inference_mode():
        return loaded.model(**inputs, use_cache=False).logits


def own_inputs(loaded, sample, images, *, with_caption):
    """What the documentation of the model says to do."""
    family = loaded.model.config.model_type
    if family == "paligemma":
        pictures = [Image.open(images / sample.image).convert("RGB")]
        suffix = {"suffix": [sample.caption]} if with_caption else {}
        found = loaded.processor(
            text=["<image>" + sample.prompt], images=pictures, return_tensors="pt", **suffix
        )
        found.pop("labels", None)
        return found
    if family in PLAIN:
        text = f"{sample.prompt}\n{sample.caption}" if with_caption else sample.prompt
        return loaded.tokenizer(text, return_tensors="pt", return_token_type_ids=False)
    options = {"tokenize": True, "return_dict": True, "return_tensors": "pt"}
    options["add_generation_prompt"] = not with_caption
    if family in ("llama", "mllama") and "date_string" in loaded.adapter.chat_template:
        options["date_string"] = "26 Jul 2024"
    if not loaded.adapter.is_vision:
        turns = [{"role": "user", "content": sample.prompt}]
        turns += [{"role": "assistant", "content": sample.caption}] * with_caption
        return loaded.tokenizer.apply_chat_template(turns, **options)
    picture = Image.open(images / sample.image).convert("RGB")
    content = [{"type": "image", "image": picture}, {"type": "text", "text": sample.prompt}]
    turns = [{"role": "user", "content": content}]
    turns += [{"role": "assistant", "content": [{"type": "text", "text": sample.caption}]}] * with_caption
    return loaded.processor.apply_chat_template(turns, **options)


@pytest.mark.parametrize("with_caption", [True, False])
def test_inputs_are_those_of_the_models_own_processor(family, samples_of, pictures, with_caption):
    for sample in samples_of(family):
        ours = build_inputs(family, [sample], images=pictures, with_caption=with_caption).inputs
        theirs = dict(own_inputs(family, sample, pictures, with_caption=with_caption))
        length = ours["input_ids"].shape[1]
        # Templates write white space behind the last turn, which nothing before it sees.
        left = family.tokenizer.decode(theirs["input_ids"][0, length:])
        assert not left.strip() and (with_caption or not left)
        assert torch.equal(ours["input_ids"], theirs["input_ids"][:, :length])
        for name in theirs.keys() - {"input_ids"}:
            of_tokens = theirs[name].shape[:2] == theirs["input_ids"].shape
            wanted = theirs[name][:, :length] if of_tokens else theirs[name]
            assert torch.equal(ours[name], wanted), name
        torch.testing.assert_close(run(family, ours), run(family, theirs)[:, :length], rtol=0, atol=1e-5)


BOS = {
    "gpt2": None,
    "gpt_neox": None,
    "qwen2": None,
    "qwen2_vl": None,
    "qwen2_5_vl": None,
    "mistral": "<s>",
    "mllama": "<|begin_of_text|>",
}


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("with_caption", [True, False])
def test_roles(family, samples_of, pictures, side, with_caption):
    samples = samples_of(family)
    batch = build_inputs(family, samples, images=pictures, with_caption=with_caption, padding_side=side)
    ids, mask = batch.inputs["input_ids"], batch.inputs["attention_mask"]
    assert torch.equal(batch.role == PADDING, mask == 0)
    kind = family.model.config.model_type
    if kind == "llava":
        kind = family.adapter.text_config.model_type
    default = "<bos>" if "gemma" in kind else family.tokenizer.bos_token
    expected = BOS.get(kind, default)
    for i, sample in enumerate(samples):
        role, token = batch.role[i], family.tokenizer.convert_ids_to_tokens(ids[i].tolist())
        bos = [t for t, r in zip(token, role.tolist(), strict=True) if r == ROLES.index("bos")]
        assert bos == ([] if expected is None else [expected])
        assert covered(batch, i, "prompt", sample.prompt) == set(range(len(sample.prompt)))
        caption = sample.caption if with_caption else ""
        assert covered(batch, i, "caption", caption) == set(range(len(caption)))
        image = int((role == ROLES.index("image")).sum())
        assert image == tokens_of_image(family, pictures / sample.image)
        position = batch.position[i]
        assert position[mask[i] == 1].tolist() == list(range(int(mask[i].sum())))
        if with_caption:
            behind = position > position[role == ROLES.index("caption")].max()
            assert (role[behind] == ROLES.index("special")).all()


def covered(batch, i, role, text):
    """The characters of the text that tokens of the role stand for."""
    chosen = (batch.role[i] == ROLES.index(role)) & (batch.char_start[i] >= 0)
    spans = torch.stack([batch.char_start[i], batch.char_end[i]], dim=1)[chosen].tolist()
    assert all(0 <= start < end <= len(text) for start, end in spans)
    return {place for start, end in spans for place in range(start, end)}


def tokens_of_image(loaded, path):
    """Counted by hand from the family's description."""
    if not loaded.adapter.is_vision:
        return 0
    kind = loaded.model.config.model_type
    if kind.startswith("qwen"):
        # Sides are rounded to whole merged patches.
        with Image.open(path) as image:
            return round(image.width / (2 * PATCH)) * round(image.height / (2 * PATCH))
    return {"gemma3": 4, "paligemma": GRID, "llava": GRID, "mllama": 1}[kind]


ODD = ["ظل الشجرة", "x 😀 ظ", " two  spaces", "tab\tand\n\nlines ", "a\u200fb", "e\u0301", "ﷺ ١٢٣"]


@pytest.mark.parametrize("caption", ODD)
def test_every_character_of_odd_captions_is_covered(family, samples_of, pictures, caption):
    sample = samples_of(family)[0]._replace(caption=caption)
    batch = build_inputs(family, [sample], images=pictures, with_caption=True)
    assert covered(batch, 0, "caption", caption) == set(range(len(caption)))


def test_a_mark_that_a_normaliser_merges_stays_with_its_letter(load_family, samples_of):
    """Qwen composes e + acute, and alef + hamza, to one character."""
    loaded = load_family("qwen2")
    for letters in ("xe\u0301y", "س\u0627\u0654ر"):
        batch = build_inputs(
            loaded, [samples_of(loaded)[0]._replace(caption=letters)], images=None, with_caption=True
        )
        chosen = batch.role[0] == ROLES.index("caption")
        spans = torch.stack([batch.char_start[0], batch.char_end[0]], dim=1)[chosen].tolist()
        assert {tuple(span) for span in spans} == {(0, 1), (1, 3), (3, 4)}


def test_a_trimmed_space_stays_with_its_word(load_family, samples_of):
    loaded = load_family("pythia")
    batch = build_inputs(loaded, samples_of(loaded)[2:3], images=None, with_caption=True)
    caption, chosen = samples_of(loaded)[2].caption, batch.role[0] == ROLES.index("caption")
    pieces = loaded.tokenizer.convert_ids_to_tokens(batch.inputs["input_ids"][0][chosen].tolist())
    spans = zip(batch.char_start[0][chosen].tolist(), batch.char_end[0][chosen].tolist(), strict=True)
    assert [piece.replace("Ġ", " ") for piece in pieces] == [caption[start:end] for start, end in spans]


def test_special_tokens_in_captions_are_refused(family, samples_of, pictures):
    tokenizer = family.tokenizer
    for text in {tokenizer.eos_token, tokenizer.bos_token, tokenizer.unk_token} - {None}:
        sample = samples_of(family)[0]._replace(caption=f"A {text} driver.")
        with pytest.raises(InputError, match="special token"):
            build_inputs(family, [sample], images=pictures, with_caption=True)


def test_an_unknown_character_is_a_caption_though_padding_has_its_id(load_family, samples_of):
    tokenizer = llama2_tokenizer(MISTRAL, bytes_too=False)
    loaded = dataclasses.replace(load_family("mistral"), tokenizer=tokenizer)
    assert loaded.tokenizer.pad_token_id == loaded.tokenizer.unk_token_id
    sample = samples_of(loaded)[0]._replace(caption="A ظ driver.")
    batch = build_inputs(loaded, [sample, samples_of(loaded)[2]], images=None, with_caption=True)
    unknown = batch.inputs["input_ids"] == loaded.tokenizer.unk_token_id
    caption = batch.role == ROLES.index("caption")
    assert (unknown & caption).sum() == 1 and batch.inputs["attention_mask"][unknown & caption] == 1


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("gemma3", "token_type_ids"),
        ("paligemma", "token_type_ids"),
        ("paligemma2", "token_type_ids"),
        ("mllama", "cross_attention_mask"),
        ("qwen2_5_vl", "position_ids"),
        ("qwen2_vl", "position_ids"),
    ],
)
def test_what_would_be_lost_in_silence_matters(load_family, samples_of, pictures, name, what):
    loaded = load_family(name)
    inputs = build_inputs(loaded, samples_of(loaded)[1:2], images=pictures, with_caption=True).inputs
    right = run(loaded, inputs)
    lost = {**inputs}
    if what == "position_ids":
        lost[what] = torch.arange(inputs["input_ids"].shape[1])[None]
    else:
        del lost[what]
    assert (run(loaded, lost) - right).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("name", "attention"), [("paligemma", "eager"), ("paligemma", "sdpa"), ("paligemma2", "eager")]
)
def test_paligemmas_prefix_sees_all_of_itself_and_its_caption_what_is_before(
    load_family, samples_of, pictures, name, attention
):
    loaded = load_family(name)
    batch = build_inputs(loaded, samples_of(loaded)[2:3], images=pictures, with_caption=True)
    caption = torch.nonzero(batch.role[0] == ROLES.index("caption"))[:, 0]
    loaded.model.set_attn_implementation(attention)
    try:
        moved = {place: moves(loaded, batch, place) for place in (caption[0] - 2, caption[3])}
    finally:
        loaded.model.set_attn_implementation("eager")
    prompt, word = moved.values()
    assert prompt[: caption[0]].all()
    assert not word[: caption[3]].any() and word[caption[3] :].all()


def moves(loaded, batch, place):
    """Which positions of the logits (T) depend on the token at `place`."""
    changed = batch.inputs["input_ids"].clone()
    changed[0, place] = 300 if changed[0, place] != 300 else 301
    with torch.inference_mode():
        before = loaded.model(**batch.inputs, use_cache=False).logits
        after = loaded.model(**{**batch.inputs, "input_ids": changed}, use_cache=False).logits
    return (before - after).abs().amax(-1)[0] > 1e-5


def generate(loaded, inputs, steps=4):
    """Greedy tokens (B, steps) and the logits (B, steps, V) that they were taken from."""
    with torch.inference_mode():
        found = loaded.model.generate(
            **inputs,
            max_new_tokens=steps,
            do_sample=False,
            eos_token_id=None,
            output_logits=True,
            return_dict_in_generate=True,
        )
    return found.sequences[:, inputs["input_ids"].shape[1] :], torch.stack(found.logits, dim=1)


def test_left_padded_generation_is_that_of_the_samples_alone(family, samples_of, pictures):
    for images in {False, family.adapter.is_vision}:
        samples = samples_of(family, images)
        batch = build_inputs(family, samples, images=pictures, with_caption=False)
        tokens, logits = generate(family, batch.inputs)
        for i, sample in enumerate(samples):
            single = build_inputs(family, [sample], images=pictures, with_caption=False)
            alone, alone_logits = generate(family, single.inputs)
            assert torch.equal(alone[0], tokens[i])
            torch.testing.assert_close(alone_logits[0], logits[i], rtol=0, atol=1e-4)
        torch.testing.assert_close(decode_by_hand(family, batch, tokens), logits, rtol=0, atol=1e-5)


def decode_by_hand(loaded, batch, tokens):
    """Logits (B, steps, V) before each of the tokens, by nothing but what the batch and the adapter tell."""
    mask, position = batch.inputs["attention_mask"], batch.next_position
    extra = loaded.adapter.step_inputs(batch.inputs)
    with torch.inference_mode():
        output = loaded.model(**batch.inputs, use_cache=True)
        logits = [output.logits[:, -1]]
        for token in tokens.T[:-1]:
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
            output = loaded.model(
                input_ids=token[:, None],
                attention_mask=mask,
                position_ids=position,
                past_key_values=output.past_key_values,
                use_cache=True,
                **extra,
            )
            logits.append(output.logits[:, -1])
            position = position + 1
    return torch.stack(logits, dim=1)


def test_the_day_is_not_in_the_text(load_family, samples_of):
    """The template of Llama 3 writes today's date where it is not told another."""
    loaded = load_family("llama")
    batch = build_inputs(loaded, samples_of(loaded)[:1], images=None, with_caption=False)
    assert "Today Date: 26 Jul 2024" in loaded.tokenizer.decode(batch.inputs["input_ids"][0])


@pytest.mark.parametrize("name", ["mistral", "qwen2_vl"])
def test_the_day_is_not_in_the_text_of_templates_that_ask_for_it_at_once(
    load_family, samples_of, monkeypatch, name
):
    """As Mistral Small's. The rest of the text stays to the letter, a line break at its start included."""
    loaded = load_family(name)
    holder = loaded.processor or loaded.tokenizer
    plain = frame(loaded, image=loaded.adapter.is_vision, with_caption=True)
    today = "\n{%- set today = strftime_now('%Y-%m-%d') %}<{{ today }}>\n"
    monkeypatch.setattr(holder, "chat_template", f"\n{{{{ 'x' }}}}{today}{holder.chat_template}")
    head, *rest = frame(loaded, image=loaded.adapter.is_vision, with_caption=True)
    assert head == "\nx<26 Jul 2024>\n" + plain[0] and (*rest,) == plain[1:]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_seen_upright(load_family, tmp_path, orientation):
    """As transformers' own `load_image` reads them: cameras write how a picture was held, not a turned picture."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    pixels = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    loaded, sample = load_family("qwen2_vl"), Sample("a", "A driver.", "Describe.", "a.png")
    expected = load_image(str(tmp_path / "a.png"))
    (found,) = load_images(loaded, [sample], tmp_path)
    assert np.array_equal(np.asarray(found), np.asarray(expected))
    batch = build_inputs(loaded, [sample], images=tmp_path, with_caption=True)
    tokens = loaded.adapter.image_text((expected.height, expected.width))
    assert (batch.role == ROLES.index("image")).sum() == tokens.count(loaded.processor.image_token)


@pytest.mark.parametrize("first", ["<mask>", "<start_of_turn>"])
def test_a_special_token_that_paligemma_writes_first_is_no_prefix(load_family, first):
    loaded = load_family("paligemma")
    ids = [loaded.tokenizer.convert_tokens_to_ids(first), 300, 301]
    spans = character_spans(loaded.tokenizer, ids)
    row = {
        "sample_id": "a",
        "prompt": "Describe.",
        "caption": text_of(loaded.tokenizer, ids),
        "token_ids": json.dumps(ids),
        "char_start": json.dumps(spans[:, 0].tolist()),
        "char_end": json.dumps(spans[:, 1].tolist()),
    }
    batch = collate(loaded, encode_continuations(loaded, [row]), [])
    assert batch.role[0, -3] == ROLES.index("special")
    assert batch.inputs["token_type_ids"][0, -3:].tolist() == [1, 1, 1]
    assert not batch.inputs["token_type_ids"][0, :-3].any()


def test_a_tokenizer_without_added_tokens_has_no_special_ids():
    backend = Tokenizer(models.BPE(vocab={"a": 0}, merges=[]))
    assert not _special_mask(PreTrainedTokenizerFast(tokenizer_object=backend)).any()


def test_picture_sizes_need_the_folder(load_family, samples_of):
    loaded = load_family("qwen2_vl")
    with pytest.raises(InputError, match="no image folder"):
        build_inputs(loaded, samples_of(loaded), images=None, with_caption=True)


def test_a_seeing_model_without_a_template_cannot_place_an_image(
    load_family, samples_of, pictures, monkeypatch
):
    loaded = load_family("llava")
    monkeypatch.setattr(loaded.processor, "chat_template", None)
    with pytest.raises(InputError, match="no chat template"):
        build_inputs(loaded, samples_of(loaded), images=pictures, with_caption=True)


@pytest.mark.parametrize(
    ("name", "marker", "options"),
    [("mllama", "<|image|>", {"add_special_tokens": False}), ("gemma3", "<start_of_image>", {})],
)
def test_base_models_have_no_template_and_the_image_first(
    load_family, samples_of, pictures, monkeypatch, name, marker, options
):
    loaded = load_family(name)
    monkeypatch.setattr(loaded.processor, "chat_template", None)
    for sample in samples_of(loaded):
        ours = build_inputs(loaded, [sample], images=pictures, with_caption=True)
        picture = Image.open(pictures / sample.image).convert("RGB")
        text = f"{marker}{sample.prompt}\n{sample.caption}"
        theirs = loaded.processor(images=[[picture]], text=[text], return_tensors="pt", **options)
        assert all(torch.equal(ours.inputs[name], theirs[name]) for name in theirs)
        bare = build_inputs(loaded, [sample._replace(image="")], images=None, with_caption=True)
        assert (bare.role == ROLES.index("bos")).sum() == (ours.role == ROLES.index("bos")).sum() == 1


def test_a_sample_without_a_token_is_named(load_family):
    with pytest.raises(InputError, match="sample x.*no tokens"):
        build_inputs(load_family("gpt2"), [Sample("x", "", "")], images=None, with_caption=False)


def test_a_text_beyond_the_learned_positions_is_named(load_family, samples_of):
    loaded = load_family("gpt2")
    long = samples_of(loaded)[0]._replace(caption="A driver. " * 100)
    with pytest.raises(InputError, match=r"sample en2.*tokens.*256"):
        build_inputs(loaded, [long], images=None, with_caption=True)


@pytest.mark.parametrize("text", ["A nurse reads.", "ممرضة تقرأ", " two  spaces"])
def test_a_text_without_prompt_and_image_stands_alone(family, text):
    """As the model's own tokenizer has it, in a chat model too: no template, no newline, no empty prompt."""
    own = family.tokenizer(text)["input_ids"]
    (encoded,) = encode(family, [Sample("a#0", text, "")], with_caption=True)
    assert encoded.token_id.tolist() == own
    roles = [ROLES[role] for role in encoded.role]
    before = roles.index("caption")
    assert before <= 1 and set(roles[:before]) <= {"bos"} and set(roles[before:]) == {"caption"}
    assert encoded.char_start[before] == 0 and encoded.char_end.max() == len(text)


@pytest.mark.parametrize(
    ("name", "prompt"),
    [("gpt2", ""), ("gpt2", "Say it:"), ("pythia", "Say it:"), ("gemma2", ""), ("llama", "")],
)
def test_bos_stands_before_a_text_where_it_is_asked_for(load_family, name, prompt):
    """Once, also where the tokenizer would put one; the text behind it is as it is without."""
    loaded = load_family(name)
    own = loaded.tokenizer(prompt + "\nA nurse" if prompt else "A nurse", add_special_tokens=False)[
        "input_ids"
    ]
    (begun,) = encode(
        dataclasses.replace(loaded, prepend_bos=True), [Sample("a", "A nurse", prompt)], with_caption=True
    )
    assert begun.token_id.tolist() == [loaded.tokenizer.bos_token_id, *own]
    assert [ROLES[role] for role in begun.role].count("bos") == 1 and begun.role[0] == ROLES.index("bos")
    assert begun.char_end.max() == len("A nurse")


@pytest.mark.parametrize("prompt", ["", "Say it:"])
def test_bos_that_a_base_models_tokenizer_adds_is_not_put_there_again(load_family, monkeypatch, prompt):
    """Asked for or not, it is there once."""
    loaded = load_family("llama")
    monkeypatch.setattr(loaded.tokenizer, "chat_template", None)
    samples = [Sample("a", "A nurse", prompt)]
    asked = encode(dataclasses.replace(loaded, prepend_bos=True), samples, with_caption=True)[0]
    added = encode(loaded, samples, with_caption=True)[0]
    assert asked.token_id.tolist() == added.token_id.tolist()
    assert [ROLES[role] for role in asked.role].count("bos") == 1


def test_texts_with_and_without_prompt_mix(family):
    """Each is what it is by itself, in the order given."""
    samples = [Sample("a", "A cat.", ""), Sample("b", "A cat.", "Describe it."), Sample("c", "A dog.", "")]
    mixed = encode(family, samples, with_caption=True)
    for sample, one in zip(samples, mixed, strict=True):
        (alone,) = encode(family, [sample], with_caption=True)
        assert all(np.array_equal(*pair) for pair in zip(alone, one, strict=True))
