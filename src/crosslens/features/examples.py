"""Top examples of features: the samples in which they fire strongest, token by token."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from crosslens.tables.roles import ROLES
from crosslens.tables.tokens import TokenTable


def top_examples(
    features: np.ndarray,
    values: csr_array,
    token: np.ndarray,
    tokens: TokenTable,
    dataset: pd.DataFrame,
    count: int,
) -> list[dict[str, Any]]:
    """For each feature its `count` strongest samples, by the largest activation on a token.

    features: (T) ids; values: (M, T) codes of those features at token rows `token` (M). An image, and a caption that
    reads the same, comes once. Every example has the whole caption and prompt for context, and under `tokens` each token
    that fires: [role, char_start, char_end, position, activation], the characters being those of the caption
    (role caption) or the prompt (role prompt), -1 where a token has no place in it; other tokens are 0.
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
            examples.append(
                {
                    "sample_id": tokens.sample_ids[sample],
                    "image_id": row["image_id"],
                    "image": row["image"],
                    "gender": row["gender"],
                    "category": row["category"],
                    "prompt": row["prompt"],
                    "caption": row["caption"],
                    "max": round(float(activation[i]), 6),
                    "tokens": [
                        [
                            ROLES[tokens.role[t]],
                            int(tokens.char_start[t]),
                            int(tokens.char_end[t]),
                            int(tokens.position[t]),
                            round(float(a), 6),
                        ]
                        for t, a in sorted(zip(fired[here], activation[here], strict=True))
                    ],
                }
            )
        found.append({"feature": int(feature), "examples": examples})
    return found
