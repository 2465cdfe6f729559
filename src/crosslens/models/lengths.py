"""Samples that are too long, told before a forward pass asks for memory: attention's grows with the square of a length."""

from collections.abc import Sequence

import numpy as np

from crosslens.errors import InputError
from crosslens.models.load import LoadedModel

SHOWN = 10
"""Samples that the error names."""


def check_lengths(
    loaded: LoadedModel,
    sample_ids: Sequence[str],
    lengths: Sequence[int],
    *,
    more: int = 0,
    batch_tokens: int | None = None,
) -> None:
    """InputError that names the samples of more tokens than the model can place, or than one forward pass may hold.

    lengths: tokens of each sample, of its picture too. more: tokens that the model will write behind each, at most.
    batch_tokens: of one forward pass, by default those of `loaded`.
    """
    tokens = np.asarray(lengths, dtype=np.int64) + more
    positions, batch = loaded.adapter.max_tokens, batch_tokens or loaded.batch_tokens
    if positions is not None and (batch is None or positions <= batch):
        limit, of = positions, f"the positions of {loaded.id}"
        mend = "choose a model with a longer context"
    elif batch is not None:
        limit, of = batch, "the setting activations.batch_tokens"
        mend = f"raise activations.batch_tokens to {int(tokens.max(initial=0)):,}, which takes more memory"
    else:
        return
    long = np.flatnonzero(tokens > limit)
    if not len(long):
        return
    count = "one sample" if len(long) == 1 else f"{len(long):,} samples"
    named = ", ".join(f"{sample_ids[i]} ({tokens[i]:,})" for i in long[:SHOWN])
    rest = f" and {len(long) - SHOWN:,} more" if len(long) > SHOWN else ""
    raise InputError(
        f"sample {sample_ids[long[0]]}",
        found=f"{tokens[long[0]]:,} tokens{f', {more:,} of them to be written' if more else ''}; "
        f"{count} too long: {named}{rest}",
        expected=f"at most {limit:,} tokens in each, {of}",
        mend=f"shorten or split {'it' if len(long) == 1 else 'them'}{', write fewer tokens' if more else ''}, or {mend}",
    )
