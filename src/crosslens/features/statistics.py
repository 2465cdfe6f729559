"""What every feature does, from its codes alone: firing, strength, groups, rankings, specialists, examples."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_array, vstack

from crosslens.errors import InputError
from crosslens.features.examples import COLUMNS, codes_of_features
from crosslens.features.examples import top_examples as find_top_examples
from crosslens.features.metrics import L0Counts
from crosslens.features.moments import FeatureSums
from crosslens.features.rankings import coactivation, rank, scores
from crosslens.features.specialists import find_specialists, image_means
from crosslens.pooling.pool import averaging, sample_blocks, without_sinks
from crosslens.pooling.rows import aligned
from crosslens.stats.shuffles import SPECIALISTS
from crosslens.tables.codes import Codes
from crosslens.tables.documents import read_table, write_json, write_table
from crosslens.tables.tokens import TokenTable, read_tokens

SPLITS = ("train", "select", "test")
GENDERS = ("female", "male", "unknown")
GROUPS = [(split, gender) for split in SPLITS for gender in GENDERS]
BLOCK_ROWS = 65536


def feature_statistics(
    *,
    dataset: Path,
    tokens: Sequence[Path],
    codes: Path,
    language: str,
    top_examples: int,
    out_table: Path,
    out: Path,
    seed: int = 0,
    tau_quantile: float = 0.5,
    permutations: int = SPECIALISTS,
) -> None:
    """Statistics of every feature over the encoded tokens of one language.

    out_table: parquet of kind `features`, one row a feature: `feature`, `live` (fires on some token), and for each
    scope - `all`, `select`, `test`, and `test_female`, `test_male`, `test_unknown` - the columns
    `{scope}_{statistic}` of FeatureSums.compute (NaN where undefined).
    out: JSON of kind `rankings`: L0, rankings, co-activation, specialists of the categories and top examples. Features
    are chosen on the select split; numbers and examples are those of the test split. Token statistics and L0 use
    every encoded token but sinks, the label words of captions included; only pooling for gender masks them.
    seed, tau_quantile, permutations: of the specialists. Raises InputError where codes, tokens and dataset do not
    belong together or a split has no sample.
    """
    store, table = Codes(codes), read_tokens(tokens)
    frame = read_table(dataset, "dataset")
    _check(store, table, language)
    split, gender = aligned(table, frame, "split"), aligned(table, frame, "gender")
    group = _groups(table, split, gender)
    every = np.ones(len(store), dtype=bool)
    kept = without_sinks(store.norm, table.role[store.token], every)
    sums, pooled, l0 = _first_pass(store, table, split, group, kept)
    scopes = _scopes()
    features = pd.DataFrame({"feature": np.arange(store.d_sae, dtype=np.int32)})
    features["live"] = sums.fired.sum(axis=0) > 0
    features = pd.concat(
        [features, *(sums.compute(groups).add_prefix(f"{scope}_") for scope, groups in scopes.items())],
        axis=1,
    )
    write_table(out_table, "features", features)

    samples = {scope: int(sums.samples[groups].sum()) for scope, groups in scopes.items()}
    for scope in ("select", "test"):
        if not samples[scope]:
            raise InputError(
                dataset,
                found=f"no sample in split {scope}",
                expected="some",
                mend="give the study more images",
            )
    rankings = rank(features, samples)
    shown = sorted({entry["feature"] for ranking in rankings.values() for entry in ranking["features"]})
    categories = {half: aligned(table, frame, "category")[ids] for half, (_, ids) in pooled.items()}
    groups = aligned(table, frame, "group" if "group" in frame else "image_id")
    specialists = _specialists(pooled, categories, groups, seed, tau_quantile, permutations)
    shown = sorted({*shown, *(entry["feature"] for entry in specialists["features"])})
    write_json(
        out,
        "rankings",
        {
            "language": language,
            "site": store.attributes["site"],
            "sae": store.attributes["sae"],
            "d_sae": store.d_sae,
            "roles": store.attributes["roles"],
            "chosen_on": "select",
            "numbers_from": "test",
            "samples": samples,
            "tokens": {scope: int(sums.tokens[groups].sum()) for scope, groups in scopes.items()},
            "live": {
                scope: int((sums.fired[groups].sum(axis=0) > 0).sum()) for scope, groups in scopes.items()
            },
            "l0": l0,
            "rankings": rankings,
            "coactivation": coactivation(
                pooled["select"][0],
                pooled["test"][0],
                scores(features, "select")["composite"],
            ),
            "specialists": specialists,
            "sinks": int((~kept).sum()),
            "examples": _examples(
                store, table, frame, split, np.array(shown, dtype=np.int64), top_examples, kept
            ),
        },
    )


def _check(store: Codes, table: TokenTable, language: str) -> None:
    if store.attributes["language"] != language:
        raise InputError(
            store.path,
            found=f"codes of language {store.attributes['language']}",
            expected=language,
            mend="give the codes of that language",
        )
    expected = np.flatnonzero(table.has_role(store.attributes["roles"]))
    if not np.array_equal(store.token, expected):
        raise InputError(
            store.path,
            found=f"codes of {len(store)} tokens",
            expected=f"the {len(expected)} tokens of the roles {store.attributes['roles']} of the token table",
            mend="give the token tables that were encoded, all parts in order",
        )


def _scopes() -> dict[str, np.ndarray]:
    """Scope -> indices of the groups that it is made of."""

    def where(*, split: str | None = None, gender: str | None = None) -> np.ndarray:
        chosen = [i for i, (s, g) in enumerate(GROUPS) if split in (None, s) and gender in (None, g)]
        return np.array(chosen)

    return {
        "all": where(),
        "select": where(split="select"),
        "test": where(split="test"),
        **{f"test_{gender}": where(split="test", gender=gender) for gender in GENDERS},
    }


def _groups(table: TokenTable, split: np.ndarray, gender: np.ndarray) -> np.ndarray:
    """(n) index into GROUPS of every sample."""
    known = {pair: i for i, pair in enumerate(GROUPS)}
    pairs = list(zip(split, gender, strict=True))
    for sample_id, pair in zip(table.sample_ids, pairs, strict=True):
        if pair not in known:
            raise InputError(
                f"sample {sample_id}",
                found=f"split and gender {pair}",
                expected=f"a split of {SPLITS} and a gender of {GENDERS}",
                mend="rebuild the dataset",
            )
    return np.array([known[pair] for pair in pairs], dtype=np.int64)


def _first_pass(
    store: Codes, table: TokenTable, split: np.ndarray, group: np.ndarray, kept: np.ndarray
) -> tuple[FeatureSums, dict[str, tuple[csr_array, np.ndarray]], dict]:
    """Of the kept rows (M) bool: sums of all groups, pooled means (samples, F) of select and test with the samples' indices,
    L0 summaries."""
    sums = FeatureSums(len(GROUPS), store.d_sae)
    stored = table.sample[store.token]
    counts = np.bincount(stored[kept], minlength=len(table.sample_ids))
    held: dict[str, tuple[list, list]] = {half: ([], []) for half in ("select", "test")}
    scopes = ("test", *(f"test_{gender}" for gender in GENDERS))
    per_token, per_sample = ({scope: L0Counts() for scope in scopes} for _ in range(2))
    for start, stop in sample_blocks(stored, BLOCK_ROWS):
        rows = np.flatnonzero(kept[start:stop])
        block, sample = csr_array(store.rows(start, stop)[rows]), stored[start:stop][rows]
        average, seen = averaging(sample, np.ones(len(sample), dtype=bool), counts)
        means = csr_array(average @ block)
        sums.update(block, group[sample], means, group[seen])
        for half, (parts, indices) in held.items():
            rows = np.flatnonzero(split[seen] == half)
            parts.append(csr_array(means[rows]).astype(np.float32))
            indices.append(seen[rows])
        for scope, groups in _scopes().items():
            if scope in scopes:
                inside = np.isin(group, groups)
                per_token[scope].update(np.diff(block.indptr)[inside[sample]])
                per_sample[scope].update(np.diff(means.indptr)[inside[seen]])
    pooled = {
        half: (
            csr_array(vstack(parts, format="csr")) if parts else csr_array((0, store.d_sae)),
            np.concatenate([*indices, np.empty(0, dtype=np.int64)]).astype(np.int64),
        )
        for half, (parts, indices) in held.items()
    }
    l0 = {
        "per_token": {scope: counter.compute() for scope, counter in per_token.items()},
        "features_per_sample": {scope: counter.compute() for scope, counter in per_sample.items()},
    }
    return sums, pooled, l0


def _specialists(
    pooled: dict[str, tuple[csr_array, np.ndarray]],
    categories: dict[str, np.ndarray],
    groups: np.ndarray,
    seed: int,
    quantile: float,
    permutations: int,
) -> dict:
    """Specialists over pictures, those of one group and category as one: their captions are averaged."""
    halves = {}
    for half, (values, ids) in pooled.items():
        keys = np.array(
            [f"{g}\0{c}" for g, c in zip(groups[ids], categories[half], strict=True)], dtype=object
        )
        means, units = image_means(values, keys)
        halves[half] = means, np.array([unit.split("\0")[1] for unit in units], dtype=object)
    return find_specialists(
        *halves["select"], *halves["test"], seed=seed, quantile=quantile, permutations=permutations
    )


def _examples(
    store: Codes,
    table: TokenTable,
    frame: pd.DataFrame,
    split: np.ndarray,
    features: np.ndarray,
    count: int,
    kept: np.ndarray,
) -> dict:
    """Top examples on test of the features shown in the rankings and as specialists."""
    is_test = (split == "test")[table.sample[store.token]] & kept
    values = codes_of_features(store, is_test, features)
    return {
        "split": "test",
        "columns": COLUMNS,
        "features": find_top_examples(features, values, store.token[is_test], table, frame, count),
    }
