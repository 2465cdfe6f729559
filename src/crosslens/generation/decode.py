"""Autoregressive decoding with a cache: one prefill a prompt, and rows that have ended leave the batch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from crosslens.generation.sampling import pick_tokens
from crosslens.models.inputs import Batch, Sample, encode
from crosslens.models.lengths import check_lengths
from crosslens.models.load import LoadedModel

_WORTH_COMPACTING = 0.85
"""Ended texts leave the batch when no more than this share goes on: copying the cache costs as well."""
_LAST = torch.tensor([-1])
"""The logits to compute. As a number it would be a slice, and bfloat16 products of slices are 400 times slower on CPUs."""


class Following(Protocol):
    """What keeps something of each row of a batch while it is decoded."""

    def repeat(self, times: int) -> None:
        """Each row so many times, one behind the other."""

    def keep(self, rows: Tensor) -> None:
        """Only these rows (n) int64 go on."""

    def step(self) -> None:
        """From here on a pass has one position a row."""


def check_room(
    loaded: LoadedModel, samples: Sequence[Sample], max_new_tokens: int, *, images: Path | None = None
) -> None:
    """InputError that names the prompts (with their pictures) which are too long for an answer of so many tokens."""
    encoded = encode(loaded, samples, with_caption=False, images=images)
    lengths = [len(sample) for sample in encoded]
    check_lengths(loaded, [sample.sample_id for sample in samples], lengths, more=max_new_tokens)


@torch.inference_mode()
def decode(
    loaded: LoadedModel,
    prompts: Batch,
    uniforms: Tensor,
    *,
    draws: int,
    temperature: float,
    top_p: float = 1.0,
    ends: Sequence[int],
    rows: Following | None = None,
) -> list[list[int]]:
    """Generated ids of each text, the id of `ends` that ended it included.

    prompts: P of them, padded on the left, without captions. uniforms: (P · draws, max_new_tokens) in [0, 1), prompt
    after prompt; unread where temperature is 0. A prompt (with its picture) runs once; its cache is repeated for its
    draws. A text depends on its own prompt and uniforms; which others share the batch moves only the last bits of
    its logits. rows: told of what becomes of the rows, where something is done to each of them by itself.
    """
    output = loaded.model(**prompts.inputs, use_cache=True, logits_to_keep=_LAST)
    cache = output.past_key_values
    cache.batch_repeat_interleave(draws)
    if rows is not None:
        rows.repeat(draws)
        rows.step()
    logits, mask, position = (
        values.repeat_interleave(draws, dim=0)
        for values in (output.logits[:, -1], prompts.inputs["attention_mask"], prompts.next_position)
    )
    extra = {
        name: values.repeat_interleave(draws, dim=0)
        for name, values in loaded.adapter.step_inputs(prompts.inputs).items()
    }
    stop = torch.tensor(ends, dtype=torch.int64, device=logits.device)
    texts: list[list[int]] = [[] for _ in range(len(uniforms))]
    running = torch.arange(len(uniforms))
    alive = torch.ones(len(uniforms), dtype=torch.bool, device=logits.device)
    for step in range(uniforms.shape[1]):
        picked = pick_tokens(logits, uniforms[running, step], temperature, top_p)
        for text, token, goes in zip(running.tolist(), picked.tolist(), alive.tolist(), strict=True):
            if goes:
                texts[text].append(token)
        alive &= ~torch.isin(picked, stop)
        if step + 1 == uniforms.shape[1] or not alive.any():
            break
        if alive.float().mean() <= _WORTH_COMPACTING:
            # On the CPU: the cache of each block is where that block is, and CPU indices serve any device.
            going = alive.nonzero()[:, 0].cpu()
            cache.batch_select_indices(going)
            picked, mask, position, alive = picked[going], mask[going], position[going], alive[going]
            extra = {name: values[going] for name, values in extra.items()}
            running = running[going]
            if rows is not None:
                rows.keep(going)
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        output = loaded.model(
            input_ids=picked[:, None],
            attention_mask=mask,
            position_ids=position,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=_LAST,
            **extra,
        )
        cache, logits, position = output.past_key_values, output.logits[:, -1], position + 1
    return texts
