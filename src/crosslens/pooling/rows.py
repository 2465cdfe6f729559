"""Activations of chosen tokens, a block at a time, checked for NaN and infinity."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from crosslens.errors import InputError
from crosslens.tables.activations import Activations
from crosslens.tables.tokens import TokenTable


def check_same_rows(activations: Activations, tokens: TokenTable) -> None:
    """Raise InputError unless the activations have a row for every token."""
    if len(activations) != len(tokens):
        raise InputError(
            activations.paths[0],
            found=f"{len(activations)} rows in {len(activations.paths)} parts",
            expected=f"{len(tokens)}, as in the token tables",
            mend="give tokens and activations of the same parts in the same order",
        )


def blocks(
    activations: Activations, tokens: TokenTable, keep: np.ndarray, *, rows: int = 8192
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(token rows (B) int64, activations (B, d) float32) of the tokens with `keep` (N), in storage order.

    Memory is bounded by `rows` stored rows. Raises InputError at a NaN or infinity, with sample and position.
    """
    check_same_rows(activations, tokens)
    for start in range(0, len(tokens), rows):
        inside = np.flatnonzero(keep[start : start + rows])
        if not len(inside):
            continue
        x = activations.read(start, min(start + rows, len(tokens)))[inside]
        finite = np.isfinite(x).all(axis=1)
        if not finite.all():
            row = start + int(inside[np.flatnonzero(~finite)[0]])
            raise InputError(
                activations.paths[int(np.searchsorted(activations.starts, row, "right")) - 1],
                found=f"a NaN or infinity in sample {tokens.sample_ids[tokens.sample[row]]}, "
                f"position {tokens.position[row]}, site {activations.attributes['site']}",
                expected="finite activations",
                mend="extract this part again; half precision overflows, use bfloat16 or float32",
            )
        yield start + inside, x


def of_split(tokens: TokenTable, dataset: pd.DataFrame, split: str) -> np.ndarray:
    """(N) bool: the tokens of the samples of one split. Raises InputError for a sample the dataset lacks."""
    return aligned(tokens, dataset, "split")[tokens.sample] == split


def aligned(tokens: TokenTable, dataset: pd.DataFrame, column: str) -> np.ndarray:
    """(n) object: `column` of the dataset, in the order of the token table's samples."""
    values = dict(zip(dataset["sample_id"], dataset[column], strict=True))
    missing = [sample_id for sample_id in tokens.sample_ids if sample_id not in values]
    if missing:
        raise InputError(
            "dataset",
            found=f"no sample {missing[0]} ({len(missing)} of the token table are missing)",
            expected="every sample whose activations are stored",
            mend="use the dataset from which the activations were made",
        )
    return np.array([values[sample_id] for sample_id in tokens.sample_ids], dtype=object)
