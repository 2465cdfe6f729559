"""The entries of a tokenizer's vocabulary as text."""

from typing import Any

import torch
from torch import Tensor


def known_ids(tokenizer: Any, size: int) -> Tensor:
    """(V) int64 ids below `size`, ascending, that the tokenizer can name: unembeddings have rows for more, to fill them up."""
    ids = sorted({*tokenizer.get_vocab().values()})
    return torch.tensor([id for id in ids if id < size], dtype=torch.int64)


def token_text(tokenizer: Any, piece: str) -> str:
    """A vocabulary entry as the text that it stands for, spaces included; as it is where it is none: half a character."""
    text = tokenizer.convert_tokens_to_string([piece])
    return text if text and "\ufffd" not in text else piece
