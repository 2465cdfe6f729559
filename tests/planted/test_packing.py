"""A packed row gives each caption the logits of an ordinary prompt + caption row."""

import pytest
import torch

from crosslens.planted.captions import caption_distribution
from crosslens.planted.drawing import draw
from crosslens.planted.model import (
    SLIDING_WINDOW,
    build_model,
    build_processor,
    chat_prompt,
    encode_captions,
    prompt_ids,
)
from crosslens.planted.packing import IGNORE, pack, target_logits
from crosslens.planted.recipe import Pictures
from crosslens.planted.scenes import LANGUAGES, training_scene
from crosslens.planted.scoring import pixel_values
from crosslens.planted.tokenizer import build_tokenizer


@pytest.fixture(scope="module")
def parts():
    processor = build_processor(build_tokenizer())
    return processor, build_model(processor.tokenizer, 0).eval()


@pytest.mark.parametrize("language", LANGUAGES)
@torch.no_grad()
def test_packed_equals_ordinary_forward(parts, language: str) -> None:
    processor, model = parts
    scene = training_scene(0, 0)
    prompt = chat_prompt(processor, language)
    texts = [c.text for c in caption_distribution(scene, language, 0.5)][:4]
    captions = encode_captions(processor, texts)
    token = processor.tokenizer.image_token_id
    ids = prompt_ids(processor, prompt)
    batch = pack([ids], [captions], image_token=token, window=SLIDING_WINDOW)
    images = model.get_image_features(pixel_values(processor, [scene])).pooler_output
    packed = target_logits(model, batch, images).split([len(caption) for caption in captions])
    for text, caption, logits in zip(texts, captions, packed, strict=True):
        inputs = processor(
            images=[[draw(scene)]],
            text=[prompt + text + "<end_of_turn>"],
            return_tensors="pt",
            add_special_tokens=False,
        )
        assert inputs["input_ids"][0].tolist() == ids + caption
        ordinary = model(**inputs).logits[0, len(ids) - 1 : -1]
        torch.testing.assert_close(logits, ordinary, atol=1e-4, rtol=1e-4)


def test_training_pictures_equal_the_processor(parts) -> None:
    processor, _ = parts
    scenes = [training_scene(0, index) for index in range(4)]
    torch.testing.assert_close(Pictures(scenes).normalised([0, 1, 2, 3]), pixel_values(processor, scenes))


def test_masks_isolate_captions_and_honour_the_window() -> None:
    batch = pack([[2, 7, 7, 3]], [[[4, 5, 1], [6, 1]]], image_token=7, window=3)
    full, sliding = batch.full_N1TT[0, 0], batch.sliding_N1TT[0, 0]
    assert batch.ids_NT.tolist() == [[2, 7, 7, 3, 3, 4, 5, 3, 6]]
    assert batch.positions_NT.tolist() == [[0, 1, 2, 3, 3, 4, 5, 3, 4]]
    assert batch.targets_NT.tolist() == [[IGNORE] * 4 + [4, 5, 1, 6, 1]]
    assert full[1, 2] and full[2, 1], "image tokens see each other both ways"
    assert full[8].tolist() == [True, True, True, False, False, False, False, True, True]
    assert sliding[6].tolist() == [False, False, False, False, True, True, True, False, False]
