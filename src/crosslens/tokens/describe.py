"""What the tokens of a sample are: one row a token, with its characters, its word and how it is shown."""

from typing import Any

import numpy as np
import pandas as pd

from crosslens.models.inputs import PADDING, Batch, Sample
from crosslens.models.vocabulary import token_text
from crosslens.tables.roles import ROLES
from crosslens.tokens.text_map import TextMap, display, map_text


def describe(
    tokenizer: Any, batch: Batch, row: int, sample: Sample, language: str
) -> tuple[pd.DataFrame, dict[str, TextMap]]:
    """The tokens of one sample of a batch, without padding and in order, and the map of each of its texts by role.

    Columns: sample, language, position, role, token_id, token (as the vocabulary has it), text (its characters, empty
    without a place), display (what a reader is shown), words (those that it has characters of, a tuple),
    word_index (of the first in its text, -1 between words), char_start, char_end, column (in the padded batch).
    """
    role = batch.role[row].cpu().numpy()
    column = np.flatnonzero(role != PADDING)
    starts, ends = (part[row].cpu().numpy()[column] for part in (batch.char_start, batch.char_end))
    ids = batch.inputs["input_ids"][row].cpu().numpy()[column]
    pieces = tokenizer.convert_ids_to_tokens(ids.tolist())
    role = np.array(ROLES)[role[column]]
    table = pd.DataFrame(
        {
            "sample": sample.sample_id,
            "language": language,
            "position": batch.position[row].cpu().numpy()[column],
            "role": role,
            "token_id": ids,
            "token": pieces,
            "text": "",
            "display": [_alone(tokenizer, piece) for piece in pieces],
            "words": [()] * len(column),
            "word_index": -1,
            "char_start": starts,
            "char_end": ends,
            "column": column,
        }
    )
    maps = {}
    for name, text in (
        ("prompt", sample.prompt),
        ("caption", sample.caption),
        ("generated", sample.caption),
    ):
        inside = role == name
        if not inside.any():
            continue
        mapped = maps[name] = map_text(
            text, np.where(inside, starts, -1), np.where(inside, ends, -1), language
        )
        for token in np.flatnonzero(inside & (starts >= 0)).tolist():
            table.at[token, "text"] = text[starts[token] : ends[token]]
            table.at[token, "display"] = mapped.display(token)
            table.at[token, "word_index"] = mapped.word_of[token]
            table.at[token, "words"] = tuple(
                word.text
                for word, tokens in zip(mapped.words, mapped.tokens_of, strict=True)
                if token in tokens
            )
    return table, maps


def _alone(tokenizer: Any, piece: str) -> str:
    text = token_text(tokenizer, piece)
    return display(text, 0, len(text))
