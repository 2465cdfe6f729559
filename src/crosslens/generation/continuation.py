"""The tokens that a model wrote as inputs of a forward pass: its prompt as it read it, then its own ids."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crosslens.errors import InputError
from crosslens.generation.ids import end_tokens, text_of
from crosslens.models.inputs import Encoded, as_sample, encode, special_ids
from crosslens.models.load import LoadedModel
from crosslens.tables.roles import GENERATED, SPECIAL


def encode_samples(
    loaded: LoadedModel, samples: Sequence[Any], *, images: Path | None = None
) -> list[Encoded]:
    """The tokens of a forward pass over each sample: its generated ids where it has some, else its caption."""
    if any(_field(sample, "token_ids") for sample in samples):
        return encode_continuations(loaded, samples, images=images)
    return encode(loaded, [as_sample(sample) for sample in samples], with_caption=True, images=images)


def encode_continuations(
    loaded: LoadedModel, samples: Sequence[Any], *, images: Path | None = None
) -> list[Encoded]:
    """The prompt of each sample as it was given for generation, and behind it the ids that were generated.

    samples: rows of the table that `generate_texts` writes: `sample_id`, `prompt`, `caption`, `token_ids`,
    `char_start`, `char_end`. Generated tokens have the role generated and their characters in `caption`; ids that end
    the text or are special have the role special and no characters. Nothing is tokenized again: a forward pass sees
    the ids that the model saw when it wrote them. Raises InputError for a sample without ids or with spans of others,
    and for ids that this tokenizer reads as another text.
    """
    prompts = encode(loaded, [as_sample(sample) for sample in samples], with_caption=False, images=images)
    return [
        Encoded(*map(np.concatenate, zip(prompt, _continuation(loaded, sample), strict=True)))
        for prompt, sample in zip(prompts, samples, strict=True)
    ]


def continuation_roles(loaded: LoadedModel, ids: Sequence[int]) -> np.ndarray:
    """(T) uint8 index into ROLES: generated, or special for ids that end a text or stand for none."""
    # The unknown token stands for text, though nobody can say for which.
    special = (special_ids(loaded.tokenizer) - {loaded.tokenizer.unk_token_id}) | set(end_tokens(loaded))
    return np.where(np.isin(ids, sorted(special)), SPECIAL, GENERATED).astype(np.uint8)


def _field(sample: Any, name: str) -> str:
    return sample.get(name, "") if isinstance(sample, Mapping) else getattr(sample, name, "")


def _continuation(loaded: LoadedModel, sample: Any) -> Encoded:
    ids, start, end = (
        np.array(json.loads(_field(sample, name) or "[]"), dtype=np.int32)
        for name in ("token_ids", "char_start", "char_end")
    )
    if not (0 < len(ids) == len(start) == len(end)) or text_of(loaded.tokenizer, ids) != _field(
        sample, "caption"
    ):
        raise InputError(
            f"sample {_field(sample, 'sample_id')}",
            found=f"{len(ids)} token_ids that do not give its text, or that have not as many characters' places",
            expected="the ids that the model generated, the place of each, and their text",
            mend="generate the texts again with the model that reads them",
        )
    return Encoded(ids, continuation_roles(loaded, ids), start, end)
