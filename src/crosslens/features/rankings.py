"""Features ranked on the select split, their numbers from the test split; co-activation."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

TOP = 20
SHARE_AT_LEAST, SAMPLES_AT_LEAST = 0.01, 3
UBIQUITOUS = 0.95
CANDIDATES = 200
TOGETHER_AT_LEAST = 5

RANKINGS = {
    "strongest": "largest activation on any token (column max)",
    "frequent": "share of samples in which it fires (column sample_frequency)",
    "selective": "Treves-Rolls sparseness over samples of the sample means (column selectivity), among features "
    f"that fire in at least {SHARE_AT_LEAST:.0%} of the samples and in at least {SAMPLES_AT_LEAST}",
    "composite": "share of samples in which it fires times its mean activation when active",
}


def scores(table: pd.DataFrame, scope: str) -> dict[str, np.ndarray]:
    """(F) float64 of each ranking in one scope ("select" or "test"); NaN where undefined.

    table: the per-feature table of `feature_statistics`.
    """
    frequency, active, largest, selectivity = (
        table[f"{scope}_{name}"].to_numpy(np.float64)
        for name in ("sample_frequency", "mean_active", "max", "selectivity")
    )
    return {
        "strongest": largest,
        "frequent": frequency,
        "selective": selectivity,
        "composite": frequency * np.nan_to_num(active),
    }


def candidates(table: pd.DataFrame, scope: str, samples: int) -> dict[str, np.ndarray]:
    """(F) bool: what each ranking is over: live features, for "selective" those that fire often enough.

    samples: how many samples the scope has.
    """
    frequency = table[f"{scope}_sample_frequency"].to_numpy(np.float64)
    live = frequency > 0
    enough = frequency * samples >= max(SAMPLES_AT_LEAST, SHARE_AT_LEAST * samples) - 1e-9
    return {name: live & enough if name == "selective" else live for name in RANKINGS}


def top_features(score: np.ndarray, count: int) -> np.ndarray:
    """Feature ids with the largest finite score, best first; ties go to the lower id."""
    order = np.argsort(-score, kind="stable")[:count]
    return order[np.isfinite(score[order])]


def rank(table: pd.DataFrame, samples: dict[str, int], count: int = TOP) -> dict[str, dict[str, Any]]:
    """Every ranking of RANKINGS: the best features on select, with their numbers on test.

    samples: number of samples of each scope. A number is None where it is undefined on test, as the mean activation
    of a feature that never fires there.
    """
    chosen, held_out = scores(table, "select"), scores(table, "test")
    eligible = candidates(table, "select", samples["select"])
    shown = ("max", "mean_active", "sample_frequency", "token_frequency", "selectivity")
    result = {}
    for name, meaning in RANKINGS.items():
        features = []
        for feature in top_features(np.where(eligible[name], chosen[name], -np.inf), count):
            row = table.iloc[feature]
            features.append(
                {
                    "feature": int(feature),
                    "score": _number(held_out[name][feature]),
                    "score_select": _number(chosen[name][feature]),
                    **{key: _number(row[f"test_{key}"]) for key in shown},
                }
            )
        result[name] = {"score_is": meaning, "features": features}
    return result


def coactivation(
    select: csr_array, test: csr_array, composite: np.ndarray, count: int = TOP
) -> dict[str, Any]:
    """Pairs of top features that fire in the same samples, by Jaccard index and by PMI.

    Candidates and pairs are chosen on select: the CANDIDATES best features by `composite` (F) that fire in at least
    1 % and at most 95 % of the samples (what fires everywhere pairs with everything); a pair must fire together in
    at least 5 samples. `Jaccard = |A and B| / |A or B|`, `PMI = log2(p(A and B) / (p(A) p(B)))`, in bits.

    select, test: (n, F) pooled codes; a feature fires in a sample where its value is > 0.
    """
    fires = csr_array(select > 0)
    share = fires.sum(axis=0) / max(select.shape[0], 1)
    least = max(SHARE_AT_LEAST, SAMPLES_AT_LEAST / max(select.shape[0], 1))
    usable = (share >= least) & (share <= UBIQUITOUS)
    top = np.sort(top_features(np.where(usable, composite, -np.inf), CANDIDATES))
    chosen = pairs(select[:, top])
    held_out = pairs(test[:, top])
    first, second = np.triu_indices(len(top), 1)
    allowed = chosen["both"][first, second] >= TOGETHER_AT_LEAST
    first, second = first[allowed], second[allowed]
    result: dict[str, Any] = {
        "candidates": len(top),
        "left_out_ubiquitous": int((share > UBIQUITOUS).sum()),
    }
    for measure in ("jaccard", "pmi"):
        order = np.argsort(-chosen[measure][first, second], kind="stable")[:count]
        result[measure] = [
            {
                "a": int(top[i]),
                "b": int(top[j]),
                **{key: _number(held_out[key][i, j]) for key in ("jaccard", "pmi")},
                "both": int(held_out["both"][i, j]),
                f"{measure}_select": _number(chosen[measure][i, j]),
            }
            for i, j in zip(first[order], second[order], strict=True)
        ]
    return result


def pairs(values: csr_array) -> dict[str, np.ndarray]:
    """`both` (counts), `jaccard` and `pmi` (T, T) of the columns of (n, T); NaN or -inf where undefined."""
    fires = csr_array(values > 0).astype(np.float64)
    both = (fires.T @ fires).toarray()
    single = np.diag(both)
    with np.errstate(divide="ignore", invalid="ignore"):
        jaccard = both / (single[:, None] + single[None, :] - both)
        pmi = np.log2(both * values.shape[0] / np.outer(single, single))
    return {"both": both, "jaccard": jaccard, "pmi": pmi}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
