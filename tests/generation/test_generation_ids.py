"""Characters of generated ids: against the tokenizer's own offsets, and against bytes counted by hand."""

import numpy as np
import pytest
from tiny import tiny_tokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

from crosslens.generation.ids import character_spans, text_of

TEXTS = [
    "A woman holds a red book.",
    "امرأة تحمل كتابا أحمر في الحديقة.",
    "ظل ظ 😀 é x\n\n  two",
    "صف الصورة. Describe 👩🏽‍🔬",
]


@pytest.fixture(scope="module")
def byte_level():
    """As of GPT-2, Llama 3, Qwen2 and SmolLM2; trained on little, so that Arabic letters fall apart into bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS[:2] * 3, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")


@pytest.fixture(scope="module")
def byte_fallback():
    """As of Gemma and Llama 2."""
    return tiny_tokenizer()


def bytes_of(tokenizer, ids):
    """The bytes of each token of a byte-level vocabulary."""
    byte = {letter: value for value, letter in bytes_to_unicode().items()}
    return [bytes(byte[letter] for letter in token) for token in tokenizer.convert_ids_to_tokens(ids)]


def spans_by_bytes(pieces):
    """(T, 2): first and last character that each piece has a byte of, in the valid UTF-8 that they make together."""
    character = np.repeat(
        *zip(*[(i, len(c.encode())) for i, c in enumerate(b"".join(pieces).decode())], strict=True)
    )
    ends = np.cumsum([len(piece) for piece in pieces])
    return [
        (int(character[end - len(piece)]), int(character[end - 1]) + 1)
        for piece, end in zip(pieces, ends, strict=True)
    ]


@pytest.mark.parametrize("text", TEXTS)
def test_byte_level_spans_are_those_of_the_bytes(byte_level, text):
    ids = byte_level(text, add_special_tokens=False)["input_ids"]
    pieces = bytes_of(byte_level, ids)
    assert len(ids) > len(text.split()) and text_of(byte_level, ids) == text
    assert [tuple(span) for span in character_spans(byte_level, ids).tolist()] == spans_by_bytes(pieces)


@pytest.mark.parametrize("text", TEXTS)
def test_byte_fallback_spans_are_the_tokenizers_own(byte_fallback, text):
    found = byte_fallback(text, add_special_tokens=False, return_offsets_mapping=True)
    spans = character_spans(byte_fallback, found["input_ids"])
    assert [tuple(span) for span in spans.tolist()] == found["offset_mapping"]


def test_ids_that_no_tokenizer_would_give(byte_level):
    """A model may spell a text in ids that its own tokenizer would not choose: here byte by byte."""
    text = "نعم 😀 yes"
    letters = bytes_to_unicode()
    ids = byte_level.convert_tokens_to_ids([letters[byte] for byte in text.encode()])
    assert byte_level(text, add_special_tokens=False)["input_ids"] != ids
    assert text_of(byte_level, ids) == text
    spans = character_spans(byte_level, ids).tolist()
    assert [tuple(span) for span in spans] == spans_by_bytes([bytes([byte]) for byte in text.encode()])


@pytest.mark.parametrize("kind", ["byte_level", "byte_fallback"])
def test_special_ids_have_no_characters_and_move_none(request, kind):
    tokenizer = request.getfixturevalue(kind)
    ids = tokenizer("ظل x", add_special_tokens=False)["input_ids"]
    end = tokenizer.eos_token_id
    spans = character_spans(tokenizer, [end, *ids[:1], end, *ids[1:], end])
    assert spans[[0, 2, -1]].tolist() == [[-1, -1]] * 3
    np.testing.assert_array_equal(spans[[1, *range(3, len(ids) + 2)]], character_spans(tokenizer, ids))


@pytest.mark.parametrize("kind", ["byte_level", "byte_fallback"])
def test_any_ids_have_spans_that_ascend_and_cover_their_text(request, kind):
    """Random ids make invalid UTF-8 nearly always: every character, replacement characters included, has a token."""
    tokenizer = request.getfixturevalue(kind)
    rng = np.random.default_rng(0)
    ordinary = sorted(set(range(len(tokenizer))) - set(tokenizer.added_tokens_decoder))
    for _ in range(50):
        ids = rng.choice(ordinary, size=30).tolist()
        text, spans = text_of(tokenizer, ids), character_spans(tokenizer, ids)
        assert (spans[:, 0] < spans[:, 1]).all() and (np.diff(spans[:, 1]) >= 0).all()
        assert spans.min() >= 0 and spans.max() <= len(text)
        covered = np.zeros(len(text), dtype=bool)
        for start, end in spans:
            covered[start:end] = True
        assert covered.all()


def test_a_character_that_was_cut_off_is_one_replacement_character(byte_level):
    letters = bytes_to_unicode()
    ids = byte_level.convert_tokens_to_ids([letters[byte] for byte in "a😀".encode()[:-1]])
    assert text_of(byte_level, ids) == "a\ufffd"
    assert character_spans(byte_level, ids).tolist() == [[0, 1], [1, 2], [1, 2], [1, 2]]
