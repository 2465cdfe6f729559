"""Examples of features: the samples in which they fire strongest, and any sample, token by token."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array, vstack

from crosslens.tables.codes import Codes
from crosslens.tables.roles import ROLES
from crosslens.tables.tokens import TokenTable

COLUMNS = ["role", "char_start", "char_end", "position", "activation"]
"""What is said of a token that fires."""


def codes_of_features(codes: Codes, keep: np.ndarray, features: np.ndarray) -> csr_array:
    """(m, T) float32: the codes of these features (T), ids, at the m encoded tokens with `keep` (M)."""
    parts = [csr_array((0, len(features)), dtype=np.float32)]
    for start, block in codes.blocks():
        rows = np.flatnonzero(keep[start : start + block.shape[0]])
        parts.append(csr_array(block[rows][:, features]))
    return csr_array(vstack(parts, format="csr"))


def example_of(
    row: dict[str, Any], tokens: TokenTable, fired: np.ndarray, activation: np.ndarray
) -> dict[str, Any]:
    """One sample with the tokens on which a feature fires, none or more.

    row: of the dataset; fired: (m) rows of the token table, activation: (m) of the feature there. It has the whole caption
    and prompt for context, and under `tokens` each token that fires: [role, char_start, char_end, position, activation],
    the characters being those of the caption (role caption) or the prompt (role prompt), -1 where a token has no place in
    it; other tokens are 0.
    """
    return {
        **{name: row[name] for name in ("sample_id", "image_id", "image", "gender", "category", "prompt")},
        "caption": row["caption"],
        "max": round(float(activation.max()), 6) if len(activation) else 0.0,
        "tokens": [
            [
                ROLES[tokens.role[t]],
                int(tokens.char_start[t]),
                int(tokens.char_end[t]),
                int(tokens.position[t]),
                round(float(a), 6),
            ]
            for t, a in sorted(zip(fired, activation, strict=True))
        ],
    }


def top_examples(
    features: np.ndarray,
    values: csr_array,
    token: np.ndarray,
    tokens: TokenTable,
    dataset: pd.DataFrame,
    count: int,
) -> list[dict[str, Any]]:
    """For each feature its `count` strongest samples, by the largest activation on a token, as `example_of`.

    features: (T) ids; values: (M, T) codes of those features at token rows `token` (M). An image, and a caption that
    reads the same, comes once.
    """
    rows = {row["sample_id"]: row for row in dataset.to_dict("records")}
    columns = values.tocsc()
    found = []
    for column, feature in enumerate(features):
        part = slice(columns.indptr[column], columns.indptr[column + 1])
        fired, activation = token[columns.indices[part]], columns.data[part]
        order = np.argsort(-activation, kind="stable")
        examples: list[dict[str, Any]] = []
        seen_samples: set[int] = set()
        seen: set[tuple[str, str]] = set()
        for i in order:
            sample = int(tokens.sample[fired[i]])
            if len(examples) == count:
                break
            if sample in seen_samples:
                continue
            seen_samples.add(sample)
            row = rows[tokens.sample_ids[sample]]
            same = {("image", row["image_id"]), ("caption", row["caption"])}
            if same & seen:
                continue
            seen |= same
            here = tokens.sample[fired] == sample
            examples.append(example_of(row, tokens, fired[here], activation[here]))
        found.append({"feature": int(feature), "examples": examples})
    return found
