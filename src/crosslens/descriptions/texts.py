"""In which texts features fire: the strongest activation on a token of each sample's own text, prompts left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from crosslens.pooling.pool import pool_codes, without_sinks
from crosslens.tables.codes import Codes
from crosslens.tables.documents import read_table
from crosslens.tables.tokens import TokenTable, read_tokens

ROLES = ("caption", "generated")
"""Whose tokens are the text of a sample; a prompt is the same in many and tells none from the other."""


@dataclass(frozen=True)
class Texts:
    """The samples of one language that have a text, and what fires in it."""

    codes: Codes
    tokens: TokenTable
    frame: pd.DataFrame
    """(n) rows of the dataset, in its order."""
    strongest: csr_array
    """(n, F) float32: each feature's largest activation on a token of the text, sinks left out; silent features have none."""

    def of_split(self, split: str) -> np.ndarray:
        """(k) the rows of one split."""
        return np.flatnonzero(self.frame["split"].to_numpy() == split)

    def in_text(self, split: str) -> np.ndarray:
        """(M) bool: the encoded tokens of the texts of one split, sinks left out."""
        ids = self.frame["sample_id"].to_numpy(dtype=object)[self.of_split(split)]
        wanted = np.isin(np.array(self.tokens.sample_ids, dtype=object), ids)
        keep = (wanted[self.tokens.sample] & self.tokens.has_role(ROLES))[self.codes.token]
        return without_sinks(self.codes.norm, self.tokens.role[self.codes.token], keep)

    @property
    def units(self) -> np.ndarray:
        """(n) object: what counts once, the group of images where there are groups."""
        return self.frame["group" if "group" in self.frame else "image_id"].to_numpy(dtype=object)


def read_texts(dataset: Path, tokens: Sequence[Path], codes: Path) -> Texts:
    """Of one language. Raises InputError where the codes hold neither captions nor generated texts."""
    frame, table, store = read_table(dataset, "dataset"), read_tokens(tokens), Codes(codes)
    role = next((role for role in ROLES if role in store.attributes["roles"]), ROLES[0])
    pooled = pool_codes(store, table, frame, condition=role, how="max", mask_labels=False)
    having = frame.set_index("sample_id", drop=False).loc[pooled.sample_ids].reset_index(drop=True)
    return Texts(store, table, having, pooled.values)
