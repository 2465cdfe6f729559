"""Token ↔ word ↔ character map: nothing lost, nothing broken, Arabic words taken apart where they are written."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

from crosslens.data.languages import language_of
from crosslens.data.languages.base import Word
from crosslens.errors import InputError
from crosslens.models.packages import join, packaged
from crosslens.tokens.text_map import clusters, display, map_text, readings

TRAINING = [
    "a woman walks to the man's house",
    "المرأة في البيت وبدراجتها",
    "ممرضة ومعلم وطبيبة للرجل",
    "café",
] * 4
ALPHABET = "ابةتكلوفسهيمنأؤىظـًَّ abcé'- .،؟\u200d\n🙂👩🏽\u0301ﻻ"
QUICK = settings(max_examples=150, deadline=None)


def byte_level(trim: bool) -> Tokenizer:
    """GPT-2's kind; `trim` leaves the spaces out of the offsets."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.post_processor = processors.ByteLevel(trim_offsets=trim)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=330, initial_alphabet=alphabet, show_progress=False)
    bpe.train_from_iterator(TRAINING, trainer)
    return bpe


def byte_fallback() -> Tokenizer:
    """Gemma's kind; letters that its training text lacks fall back to bytes."""
    bpe = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    bpe.normalizer = normalizers.Replace(" ", "▁")
    bpe.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    reserved = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    bpe.train_from_iterator(
        TRAINING, trainers.BpeTrainer(vocab_size=380, special_tokens=reserved, show_progress=False)
    )
    return bpe


TOKENIZERS = {
    "byte-level": byte_level(trim=False),
    "byte-level, trimmed": byte_level(trim=True),
    "byte-fallback": byte_fallback(),
}


def check(text: str, offsets: list[tuple[int, int]], language: str) -> None:
    """Everything that a map promises, from the offsets of a tokenizer that covers the text."""
    starts, ends = np.array(offsets, dtype=np.int64).reshape(-1, 2).T
    found = map_text(text, starts, ends, language)
    assert "".join(text[unit.start : unit.end] for unit in found.units) == text
    owners = [token for unit in found.units for token in unit.tokens]
    assert sorted(owners) == list(range(len(starts)))
    assert all(token in found.units[found.unit_of[token]].tokens for token in owners)
    borders = set(clusters(text))
    assert all({unit.start, unit.end} <= borders for unit in found.units)
    for unit in found.units:
        for token in unit.tokens:
            assert unit.start <= starts[token] and ends[token] <= unit.end
    for i, word in enumerate(found.words):
        tokens = found.tokens_of[i]
        covered = {at for token in tokens for at in range(starts[token], ends[token])}
        assert set(range(word.start, word.end)) <= covered
        assert tokens == found.tokens_in(word.start, word.end)
        assert all(0 <= found.word_of[token] <= i for token in tokens)
    inside = {token for tokens in found.tokens_of for token in tokens}
    assert set(np.flatnonzero(found.word_of < 0)) == set(range(len(starts))) - inside
    for unit in found.units:
        shown = display(text, unit.start, unit.end)
        assert shown and shown.count("\ufffd") <= text.count("\ufffd")


@pytest.mark.parametrize("kind", TOKENIZERS)
@given(text=st.text(ALPHABET, max_size=30) | st.text(max_size=12), language=st.sampled_from(["ar", "en"]))
@QUICK
def test_nothing_is_lost_or_broken_with_a_real_tokenizer(kind, text, language):
    check(text, TOKENIZERS[kind].encode(text).offsets, language)


@pytest.mark.long
@pytest.mark.parametrize("name", ["gemma-3-270m", "smollm2-135m-instruct"])
def test_nothing_is_lost_or_broken_with_the_tokenizer_of_a_packaged_model(name, tmp_path):
    pytest.importorskip("gguf")
    try:
        join(packaged(name), tmp_path / "model.gguf")
    except InputError as error:
        pytest.skip(f"{name} is not installed: {error.mend}")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path, gguf_file="model.gguf")

    @given(text=st.text(ALPHABET, max_size=30) | st.text(max_size=12), language=st.sampled_from(["ar", "en"]))
    @QUICK
    def holds(text, language):
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        check(text, encoded["offset_mapping"], language)

    holds()


def test_the_letters_of_a_byte_level_word_are_whole():
    text = "وامرأة"
    encoding = TOKENIZERS["byte-level"].encode(text)
    starts, ends = np.array(encoding.offsets).T
    found = map_text(text, starts, ends, "ar")
    assert len(encoding.ids) > len(found.units)
    assert found.words == (Word(text, 0, 6),) and set(found.word_of) == {0}
    shared = next(unit for unit in found.units if len(unit.tokens) > 1)
    letter = text[shared.start : shared.end]
    labels = [found.display(token) for token in shared.tokens]
    assert all(letter in label for label in labels) and "[1/" in labels[0] and len(set(labels)) == len(labels)


def test_a_vowel_sign_is_shown_with_its_letter_whichever_token_holds_it():
    found = map_text("ممرضةٌ", [0, 5], [5, 6], "ar")
    assert [(unit.start, unit.end, unit.tokens) for unit in found.units] == [(0, 6, (0, 1))]
    found = map_text("ممرضةٌ", [0, 4, 5], [4, 5, 6], "ar")
    assert [(unit.start, unit.end, unit.tokens) for unit in found.units] == [(0, 4, (0,)), (4, 6, (1, 2))]


def test_tokens_without_a_place_and_characters_without_a_token_are_kept():
    found = map_text("ab cd", [-1, 3, -1], [-1, 5, -1], "en")
    assert [(unit.start, unit.end, unit.tokens) for unit in found.units] == [(0, 3, ()), (3, 5, (1,))]
    assert found.unit_of.tolist() == [-1, 1, -1] and found.word_of.tolist() == [-1, 1, -1]
    assert found.tokens_of == ((), (1,)) and found.display(0) == ""


def test_one_token_may_span_several_words():
    found = map_text("of the man", [0, 6], [6, 10], "en")
    assert found.tokens_of == ((0,), (0,), (1,)) and found.word_of.tolist() == [0, 2]
    assert [found.display(token) for token in (0, 1)] == ["of the", "man"]


def test_a_label_has_the_forms_of_its_word_and_no_spaces():
    text = " بدراجة\n "
    assert display(text, 0, 2) == "ب\u200d"
    assert display(text, 2, 4) == "\u200dدر" and display(text, 4, 7) == "اجة"
    assert display(text, 7, 9) == "↵␣"
    assert display("كـتاب", 2, 5) == "\u200dتاب" and display("كـتاب", 0, 1) == "ك\u200d"
    assert (
        display("دـكر", 0, 1) == "د"
        and display("كتابها", 0, 4) == "كتاب\u200d"
        and display("كِتَ", 0, 2) == "كِ\u200d"
    )


def test_a_token_outside_of_the_text_is_refused():
    with pytest.raises(InputError, match=r"\[2, 9\)"):
        map_text("abc", [2], [9])


@pytest.mark.parametrize(
    ("written", "segments"),
    [
        ("والممرضة", [("proclitic", "و"), ("proclitic", "ال"), ("stem", "ممرضة")]),
        ("وَالمُمَرِّضَةُ", [("proclitic", "وَ"), ("proclitic", "ال"), ("stem", "مُمَرِّضَةُ")]),
        ("للرجل", [("proclitic", "ل"), ("proclitic", "ل"), ("stem", "رجل")]),
        ("كتابُها", [("stem", "كتابُ"), ("enclitic", "ها")]),
        ("وابنتهم", [("proclitic", "و"), ("stem", "ابنت"), ("enclitic", "هم")]),
        ("بــدراجة", [("proclitic", "بــ"), ("stem", "دراجة")]),
        ("فسيعمل", [("proclitic", "ف"), ("proclitic", "س"), ("stem", "يعمل")]),
        ("بدراجة", [("proclitic", "ب"), ("stem", "دراجة")]),
        ("للغة", [("proclitic", "ل"), ("proclitic", "ل"), ("stem", "لغة")]),
        ("لِلُّغة", [("proclitic", "لِ"), ("proclitic", "لُّ"), ("stem", "لُّغة")]),
        ("شاهدني", [("stem", "شاهد"), ("enclitic", "ني")]),
        ("أوليس", [("proclitic", "أ"), ("proclitic", "و"), ("stem", "ليس")]),
    ],
)
def test_a_word_taken_apart_where_it_is_written(written, segments):
    text = f"رأى {written}."
    word = language_of("ar").words(text)[1]
    found = readings(word, "ar")
    cut = [[(part.kind, text[part.start : part.end]) for part in reading.segments] for reading in found]
    assert segments in cut
    assert cut[0] == [("stem", written)]


def test_the_tokens_of_a_clitic():
    found = map_text("ركبت بدراجتها", [0, 5, 6, 8], [5, 6, 8, 13], "ar")
    reading = next(reading for reading in found.readings(1) if reading.candidate == ("دراجة", ("ب",), "ها"))
    assert [(part.form, found.tokens_in(part.start, part.end)) for part in reading.segments] == [
        ("ب", (1,)),
        ("دراجة", (2, 3)),
        ("ها", (3,)),
    ]


@given(st.text("ابةتكلوفسهيمنأؤىظـًَُّ\u200dﻻلا", min_size=1, max_size=14))
@QUICK
def test_the_segments_of_every_reading_cover_the_word(text):
    for word in language_of("ar").words(text):
        for reading in readings(word, "ar"):
            parts = reading.segments
            assert parts[0].start == word.start and parts[-1].end == word.end
            assert all(part.start < part.end for part in parts)
            for first, second in zip(parts, parts[1:], strict=False):
                # only a ligature, or the ل of the article and of its noun, is in both
                shares = first.form == "ال" and second.form.startswith("ل")
                assert second.start == first.end or text[second.start] == "ﻻ" or shares
            assert [part.kind for part in parts].count("stem") == 1
