"""What the tiny models are asked, when they stop, and a row of what they wrote."""

import json
from pathlib import Path

from crosslens.generation.ids import character_spans, text_of

PROMPTS = [
    "Tell me a joke.",
    "ما اسمك؟",
    "Once upon a time in a distant land",
    "The theory of relativity explains...",
    "صف الصورة.",
]
ENDS = [1, *range(5, 420, 12)]
"""<eos> and a twelfth of the vocabulary."""


def let_texts_end(folder: Path) -> Path:
    """Let every id of ENDS end a text, as the generation config of a published model may say."""
    file = folder / "generation_config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"eos_token_id": ENDS}))
    return folder


def row_of(tokenizer, sample, ids):
    """As the stage writes it."""
    start, end = character_spans(tokenizer, ids).T.tolist()
    places = {"token_ids": ids, "char_start": start, "char_end": end}
    return {
        "sample_id": sample.sample_id,
        "prompt": sample.prompt,
        "caption": text_of(tokenizer, ids),
        **{name: json.dumps(values) for name, values in places.items()},
    }
