"""Captions read without their pictures: what their words alone are to the model, one vector a caption."""

from pathlib import Path
from typing import Any

import numpy as np

from crosslens.store.remove import remove
from crosslens.tables.activations import sinks
from crosslens.tables.alone import write_alone
from crosslens.tables.tokens import TokenTable


class Means:
    """Takes what a SiteWriter takes, a batch at a time, and keeps the mean of each caption's tokens.

    A pass without pictures is short, so that one that was killed begins again. The median that tells sinks is that of the
    batch: a tenfold norm stands out of any.
    """

    def __init__(self, path: Path, tokens: TokenTable, *, d_model: int, **attributes: Any):
        self.path, self.tokens, self.attributes = path, tokens, attributes
        self.values = np.full((len(tokens.sample_ids), d_model), np.nan, dtype=np.float32)
        self.sinks = self.next_row = 0

    def append(self, start: int, values: np.ndarray, norms: np.ndarray) -> None:
        """values (n, d) float32 and norms (n) of the tokens from row `start` on: whole captions."""
        keep = ~sinks(norms, norms)
        sample = self.tokens.sample[start : start + len(values)][keep]
        seen, local = np.unique(sample, return_inverse=True)
        sums = np.zeros((len(seen), values.shape[1]))
        np.add.at(sums, local, values[keep])
        self.values[seen] = sums / np.bincount(local)[:, None]
        self.sinks += int((~keep).sum())
        self.next_row = start + len(values)

    def finish(self) -> None:
        """Write them, in the place of what a job left that was killed behind this."""
        remove(self.path)
        write_alone(self.path, self.values, self.tokens.sample_ids, sinks=self.sinks, **self.attributes)
