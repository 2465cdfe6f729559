"""Latent scaling: does a language have a feature's direction where the feature of the other language fires?"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from crosslens.alignment.dictionaries import CONFIG, read_decoder
from crosslens.alignment.pairs import beyond_chance, orders_of, shared_p
from crosslens.pooling.images import ImageTable, by_image
from crosslens.pooling.pool import pool_activations
from crosslens.stats.tested import tested
from crosslens.tables.activations import Activations
from crosslens.tables.documents import read_table
from crosslens.tables.tokens import read_tokens

MASKED = 0.5
"""Of β in the feature's own language: from there on the other language has most of what the feature stands for."""


def linear_decoder(sae: Path) -> np.ndarray | None:
    """(F, d) float32 decoder of the SAE in a folder; None of one that normalises every token, so that no mean decodes."""
    config = json.loads((Path(sae) / CONFIG).read_text(encoding="utf-8"))
    return read_decoder(sae) if config["normalize_activations"] == "none" else None


def pooled_captions(activations: list[Path], tokens: list[Path], dataset: Path) -> ImageTable:
    """Mean activations of the test images' whole captions."""
    samples = read_table(dataset, "dataset")
    samples = samples[samples["split"] == "test"]
    found = pool_activations(
        Activations(activations), read_tokens(tokens), samples, condition="caption", mask_labels=False
    )
    return by_image(found.values, found.sample_ids, samples)


def along(x: np.ndarray, z: csr_array, decoder: np.ndarray) -> np.ndarray:
    """(n, F) d·r of every feature: r is x (n, d) less what all other features of z (n, F) write, d its row of decoder (F, d).

    Of means over tokens as of tokens: decoding is linear. b_dec adds a constant, which no slope sees.
    """
    return (x - z @ decoder) @ decoder.T + z.toarray() * np.square(decoder).sum(axis=1)


def slopes(f: np.ndarray, g: np.ndarray) -> np.ndarray:
    """(m) least-squares slope of each column of g (n, m) on that of f (n, m), both about their means; NaN where f is constant."""
    f = f - f.mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (f * g).sum(axis=0) / np.square(f).sum(axis=0)


def scaled(
    table: pd.DataFrame,
    codes: tuple[csr_array, csr_array],
    activations: tuple[np.ndarray, np.ndarray],
    decoder: np.ndarray,
    groups: np.ndarray,
    alpha: float,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Is what is called specific to a language told by the other one's activations as well?

    table: as of `sharing.compare`; codes (n, F), activations (n, d): the same units in both languages. A feature that is
    specific to a language is fitted with its activations f there: β = argmin Σ‖β f d − r‖² over the units, f and r about
    their means, r the residual with the feature's own part added back, of its own and of the other language (after arXiv
    2504.02922, which has both models on one token). Adds `beta_own`, `beta_other` and `p_beta`, one-sided among shuffled
    pairs, `q_beta` over the specific features, and `unmasked`: q ≤ alpha and β_other at least MASKED of β_own.
    """
    specific = np.flatnonzero((table["specific"] != "").to_numpy())
    is_first = (table["specific"].to_numpy() == table["first"].to_numpy())[specific]
    own, other = np.full((2, len(table)), np.nan)
    dense = [along(x, z, decoder) for x, z in zip(activations, codes, strict=True)]
    norms = np.square(decoder).sum(axis=1)
    parts = []
    for mine in (True, False):
        ids = specific[is_first == mine]
        places = (0, 1) if mine else (1, 0)
        f, (g_own, g_other) = codes[places[0]][:, ids], (dense[place][:, ids] for place in places)
        own[ids], other[ids] = (slopes(f.toarray(), g) / norms[ids] for g in (g_own, g_other))
        parts.append((ids, shared_p(f, csr_array(g_other), groups, rng)[1]))
    table = table.assign(beta_own=own, beta_other=other, p_beta=np.nan, q_beta=np.nan)
    because = None if len(specific) else "no feature is specific to a language"
    told = {"found": 0} | dict.fromkeys(("mean", "q95", "p", "least_p"))
    if not because:
        ids, p = np.concatenate([part[0] for part in parts]), np.hstack([part[1] for part in parts])
        q, told = beyond_chance(p, alpha, orders_of(groups))
        table.loc[ids, "p_beta"], table.loc[ids, "q_beta"] = p[0].astype(np.float64), q
    ratio = table["beta_other"] / table["beta_own"]
    table["unmasked"] = ((table["q_beta"] <= alpha) & (ratio >= MASKED)).to_numpy(dtype=bool)
    known = ratio.iloc[specific].dropna()
    return table, tested(because) | {"features": len(specific)} | told | {
        "unmasked": int(table["unmasked"].sum()),
        "median_ratio": float(known.median()) if len(known) else None,
    }
