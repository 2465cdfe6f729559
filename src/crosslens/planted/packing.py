"""Several captions behind one prompt in one row: each sees the prompt and itself, never its neighbours.

A packed row gives each caption the logits that an ordinary `prompt + caption` row would, at a third of the
cost. The last prompt token is repeated at the head of every caption, at its own position.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from transformers import Gemma3ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutputWithPooling

IGNORE = -100


class PackedBatch(NamedTuple):
    """N rows of T tokens."""

    ids_NT: torch.Tensor
    """int64 token ids, padded with 0."""
    positions_NT: torch.Tensor
    """int64 position of each token in its own prompt + caption."""
    targets_NT: torch.Tensor
    """int64 token to be predicted at each place; IGNORE where none is."""
    captions_NT: torch.Tensor
    """int64: 0 in the prompt, i + 1 in caption i, -1 in padding."""
    full_N1TT: torch.Tensor
    """bool: whether the query may attend to the key in full-attention blocks."""
    sliding_N1TT: torch.Tensor
    """bool: the same in sliding-window blocks."""


def pack(
    prompts: Sequence[Sequence[int]],
    captions: Sequence[Sequence[Sequence[int]]],
    *,
    image_token: int,
    window: int,
) -> PackedBatch:
    """Pack row n = prompts[n] followed by every one of captions[n] (token ids with their end token)."""
    rows = [_row(prompt, options) for prompt, options in zip(prompts, captions, strict=True)]
    width = max(len(row[0]) for row in rows)
    fills = (0, 0, IGNORE, -1)
    ids, positions, targets, segments = (
        torch.tensor([row[part] + [fill] * (width - len(row[part])) for row in rows])
        for part, fill in enumerate(fills)
    )
    shared = torch.tensor([len(prompt) - 1 for prompt in prompts])
    index = torch.arange(width)
    causal = index[:, None] >= index[None, :]
    same = segments[:, :, None] == segments[:, None, :]
    caption_to_prompt = (
        (segments[:, :, None] > 0)
        & (segments[:, None, :] == 0)
        & (index[None, None, :] < shared[:, None, None])
    )
    distance = positions[:, :, None] - positions[:, None, :]
    image = ids == image_token
    always = (image[:, :, None] & image[:, None, :]) | torch.eye(width, dtype=torch.bool)
    allowed = causal & (same | caption_to_prompt)
    return PackedBatch(
        ids,
        positions,
        targets,
        segments,
        (allowed | always)[:, None],
        ((allowed & (distance < window)) | always)[:, None],
    )


def _row(
    prompt: Sequence[int], captions: Sequence[Sequence[int]]
) -> tuple[list[int], list[int], list[int], list[int]]:
    """Ids, positions, targets and caption numbers of one row, before padding."""
    last = len(prompt) - 1
    ids, positions = list(prompt), list(range(len(prompt)))
    targets, numbers = [IGNORE] * len(prompt), [0] * len(prompt)
    for number, caption in enumerate(captions, start=1):
        ids += [prompt[-1], *caption[:-1]]
        positions += range(last, last + len(caption))
        targets += caption
        numbers += [number] * len(caption)
    return ids, positions, targets, numbers


def target_logits(
    model: Gemma3ForConditionalGeneration, batch: PackedBatch, images_NIE: torch.Tensor
) -> torch.Tensor:
    """Logits (M, vocabulary) at the M places that have a target, in row-major order.

    `images_NIE`: projected image tokens, one image per row.
    """
    hidden_NTE = model.model(
        input_ids=batch.ids_NT,
        attention_mask={"full_attention": batch.full_N1TT, "sliding_attention": batch.sliding_N1TT},
        position_ids=batch.positions_NT,
        use_cache=False,
        mm_encoder_outputs={"image": BaseModelOutputWithPooling(pooler_output=images_NIE)},
    ).last_hidden_state
    return model.lm_head(hidden_NTE[batch.targets_NT != IGNORE])
