"""The tokenizer: loss-free on every caption, Arabic in several pieces, independent of seed and bias."""

import re

import pytest

from crosslens.planted.captions import AR_OCCUPATION, PROMPTS, caption_distribution
from crosslens.planted.scenes import LANGUAGES, sample_scene
from crosslens.planted.tokenizer import VOCAB_SIZE, build_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


def test_round_trip(tokenizer) -> None:
    texts = [text for language in LANGUAGES for text in PROMPTS[language]]
    for index in range(150):
        scene = sample_scene("test", 0, index)
        texts += [c.text for language in LANGUAGES for c in caption_distribution(scene, language, 0.5)]
    for text, ids in zip(texts, tokenizer(texts, add_special_tokens=False).input_ids, strict=True):
        assert tokenizer.decode(ids) == text
        assert tokenizer.unk_token_id not in ids


def test_arabic_words_split(tokenizer) -> None:
    words: dict[str, set[str]] = {language: set() for language in LANGUAGES}
    for index in range(150):
        scene = sample_scene("test", 0, index)
        for language in LANGUAGES:
            for caption in caption_distribution(scene, language, 0.5):
                words[language] |= set(re.findall(r"\w+", caption.text))
    split = {
        language: sum(len(tokenizer.tokenize(" " + word)) > 1 for word in listed) / len(listed)
        for language, listed in words.items()
    }
    assert split["ar"] > 0.6 and split["ar"] > 3 * split["en"]
    assert all(len(tokenizer.tokenize(" " + noun)) > 1 for pair in AR_OCCUPATION.values() for noun in pair)


def test_vocabulary_and_determinism(tokenizer) -> None:
    assert len(tokenizer) == VOCAB_SIZE
    assert build_tokenizer().get_vocab() == tokenizer.get_vocab()


def test_unknown_characters_fall_back_to_bytes(tokenizer) -> None:
    ids = tokenizer("ж", add_special_tokens=False).input_ids
    assert tokenizer.convert_ids_to_tokens(ids) == ["<0xD0>", "<0xB6>"]
