"""What generated ids are: which end a text, which stand for no text, and which characters the others are."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from crosslens.models.inputs import special_ids
from crosslens.models.load import LoadedModel


def end_tokens(loaded: LoadedModel) -> list[int]:
    """Ids that end a text: those of the generation config and of the tokenizer."""
    found = loaded.model.generation_config.eos_token_id
    ids = set(found) if isinstance(found, list) else {found}
    ids.add(loaded.tokenizer.eos_token_id)
    return sorted(i for i in ids if i is not None)


def text_of(tokenizer: Any, ids: Sequence[int]) -> str:
    """The text of `ids`, special tokens left out, spaces as the tokens have them."""
    return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def character_spans(tokenizer: Any, ids: Sequence[int]) -> np.ndarray:
    """(T, 2) int32: half-open spans of T tokens in `text_of` them, -1 where a token has no character there.

    Without tokenizing the text again, which need not give the ids back. Each of several tokens that are bytes of one
    character spans the whole character.
    """
    text, silent = text_of(tokenizer, ids), special_ids(tokenizer)
    spans = np.full((len(ids), 2), -1, dtype=np.int32)
    whole = 0
    for i, id in enumerate(ids):
        prefix = text_of(tokenizer, ids[: i + 1])
        same = len(os.path.commonprefix([prefix, text]))
        before, whole = whole, max(whole, same)
        # An unfinished character is decoded as another one, and some decoders then spoil those before it too.
        end = whole if same == len(prefix) else min(whole + 1, len(text))
        if id not in silent and end > 0:
            spans[i] = min(before, end - 1), end
    return spans
