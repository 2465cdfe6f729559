"""Tokens chosen by what they are; what is not there is said."""

import pytest

from crosslens.errors import InputError
from crosslens.models.inputs import Sample, build_inputs
from crosslens.tokens.describe import describe
from crosslens.tokens.select import Selection, check_all_found, choose, selection

TEXT = "تحمل المَرْأَةُ ظرفًا للمرأة أمام البيت"


@pytest.fixture(scope="module")
def arabic(text_model):
    sample = Sample("a", TEXT, "صف الصورة.")
    batch = build_inputs(text_model, [sample], images=None, with_caption=True)
    return describe(text_model.tokenizer, batch, 0, sample, "ar")


def test_a_table_has_every_token_with_its_characters(arabic, text_model):
    table, maps = arabic
    assert table["position"].tolist() == list(range(len(table)))
    caption = table[table["role"] == "caption"]
    assert caption["text"].tolist() == [
        TEXT[a:b] for a, b in zip(caption.char_start, caption.char_end, strict=True)
    ]
    assert table["token"].tolist() == text_model.tokenizer.convert_ids_to_tokens(table["token_id"].tolist())
    assert maps.keys() == {"prompt", "caption"} and maps["caption"].text == TEXT
    assert (table.loc[table["role"] == "bos", "display"] == "<bos>").all()
    # ظ is in no vocabulary entry: two byte tokens, one letter
    shared = caption[caption["text"].str.contains("ظ")]
    assert shared["display"].str.endswith(("[1/2]", "[2/2]")).all() and len(shared) == 2


def chosen(table, **what):
    return table[choose(table, Selection(**what)).mask]


def test_a_word_is_all_its_tokens_in_any_spelling(arabic):
    table, _ = arabic
    first = TEXT.index("المَ")
    spans = [(first, TEXT.index(" ظ")), (TEXT.index("للم"), TEXT.index(" أمام"))]
    for wanted, places in (
        ("المرأة", spans),
        ("مرأة", spans),
        ("المَرأة", spans),
        ("للمرأة", spans[1:]),
    ):
        inside = {at for start, end in places for at in range(start, end)}
        found = chosen(table, words=(wanted,), roles=("caption",))
        covered = {at for row in found.itertuples() for at in range(row.char_start, row.char_end)}
        assert inside <= covered <= inside | {start - 1 for start, _ in places}, wanted


def test_positions_count_within_the_roles(arabic):
    table, _ = arabic
    caption = table[table["role"] == "caption"]
    assert chosen(table, positions=(0,)).index.tolist() == [0]
    assert chosen(table, positions=(0, -1), roles=("caption",)).index.tolist() == [
        caption.index[0],
        caption.index[-1],
    ]


def test_roles_alone_take_all_and_others_join(arabic):
    table, _ = arabic
    assert set(chosen(table, roles=("bos", "prompt"))["role"]) == {"bos", "prompt"}
    assert len(chosen(table)) == len(table)
    both = chosen(table, text=("<bos>",), words=("البيت",))
    assert both.index[0] == 0 and set(both["role"]) == {"bos", "caption"}


def test_a_text_is_its_characters_or_its_entry_in_the_vocabulary(arabic):
    table, _ = arabic
    token = table[table["token"].str.startswith("▁") & (table["role"] == "caption")].iloc[0]
    by_entry, by_text = chosen(table, text=(token["token"],)), chosen(table, text=(token["text"].strip(),))
    assert token.name in by_entry.index and token.name in by_text.index


def test_nothing_found_names_the_text_and_the_selection(arabic):
    table, _ = arabic
    with pytest.raises(
        InputError, match=r"sample a: found no token for the selection \(words سيارة\) in .*تحمل"
    ):
        choose(table, Selection(words=("سيارة",)))
    with pytest.raises(InputError, match="positions 99; roles caption"):
        choose(table, Selection(positions=(99,), roles=("caption",)))


def test_what_no_text_has_is_refused_though_others_were_found(arabic):
    table, _ = arabic
    select = Selection(words=("البيت", "سيارة"))
    choice = choose(table, select)
    assert choice.mask.any()
    with pytest.raises(InputError, match="selection, words: found 'سيارة' in none of the 1 texts"):
        check_all_found(select, choice.found, 1)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"word": ["a"]}, "word: found this key"),
        ({"roles": ["captions"]}, "roles: found captions"),
        ({"words": "woman"}, "words: found 'woman'"),
        ({"words": ["a woman"]}, "words: found 'a woman'"),
        ({"positions": [True]}, "positions"),
        ({"text": [3]}, "text"),
    ],
)
def test_a_selection_that_means_nothing_is_refused(settings, words):
    with pytest.raises(InputError, match=words):
        selection(settings)


def test_settings_become_a_selection():
    assert selection({"words": ["woman"], "positions": [-1]}) == Selection(words=("woman",), positions=(-1,))
    assert not selection({}) and bool(selection({"roles": ["bos"]}))
    assert str(Selection()) == "all tokens"
