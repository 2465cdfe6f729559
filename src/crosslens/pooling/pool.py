"""Encode-then-pool: one vector a sample, from its tokens of the declared roles, label words left out."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import pandas as pd
from scipy.sparse import csr_array, vstack

from crosslens.errors import InputError
from crosslens.pooling.rows import check_same_rows
from crosslens.tables.activations import Activations, sinks
from crosslens.tables.codes import Codes
from crosslens.tables.roles import CAPTION, GENERATED
from crosslens.tables.tokens import TokenTable

log = logging.getLogger(__name__)

CONDITIONS = {
    "prompt": ("prompt",),
    "caption": ("caption",),
    "generated": ("generated",),
    "text": ("prompt", "caption"),
}
"""Condition -> token roles pooled over. Of captions, given or generated, the label words are left out."""

How = Literal["mean", "max", "last"]
"""Over a sample's tokens: their mean, the largest value of each feature, or the last of them alone."""


@dataclass(frozen=True)
class PooledCodes:
    """Feature activations of each sample."""

    values: csr_array
    """(n, F) float32, all stored values > 0."""
    sample_ids: list[str]
    """(n) in the order of the dataset."""
    dropped: list[str] = field(default_factory=list)
    """Samples of the dataset with no token left to pool over; they have no row in `values`."""
    sinks: int = 0
    """Tokens left out for their norm."""


@dataclass(frozen=True)
class PooledActivations:
    """Raw activations of each sample."""

    values: np.ndarray
    """(n, d) float32."""
    sample_ids: list[str]
    """(n) in the order of the dataset."""
    dropped: list[str] = field(default_factory=list)
    """Samples of the dataset with no token left to pool over; they have no row in `values`."""
    sinks: int = 0
    """Tokens left out for their norm."""


def label_tokens(tokens: TokenTable, dataset: pd.DataFrame) -> np.ndarray:
    """(N) bool: tokens of a caption, given or generated, that overlap one of their sample's `label_spans` by a character."""
    hit = np.zeros(len(tokens), dtype=bool)
    index = {sample_id: i for i, sample_id in enumerate(tokens.sample_ids)}
    caption = np.isin(tokens.role, (CAPTION, GENERATED))
    for sample_id, spans in zip(dataset["sample_id"], dataset["label_spans"], strict=True):
        i = index.get(sample_id)
        if i is None:
            continue
        rows = slice(int(tokens.offsets[i]), int(tokens.offsets[i + 1]))
        for start, end in json.loads(spans):
            hit[rows] |= (tokens.char_start[rows] < end) & (tokens.char_end[rows] > start)
    return hit & caption


def pooled_tokens(
    tokens: TokenTable, dataset: pd.DataFrame, *, condition: str, mask_labels: bool = True
) -> np.ndarray:
    """(N) bool: the tokens of the dataset's samples that `condition` pools over.

    Raises InputError for an unknown condition and for a sample of the dataset that has no tokens stored.
    """
    if condition not in CONDITIONS:
        raise InputError("condition", found=condition, expected=list(CONDITIONS), mend="name one of these")
    missing = set(dataset["sample_id"]) - set(tokens.sample_ids)
    if missing:
        raise InputError(
            "token table",
            found=f"no sample {sorted(missing)[0]} ({len(missing)} missing)",
            expected="all samples of the dataset",
            mend="give the token tables of all parts, or rebuild the activations",
        )
    wanted = np.isin(np.array(tokens.sample_ids, dtype=object), dataset["sample_id"].to_numpy(dtype=object))
    keep = wanted[tokens.sample] & tokens.has_role(CONDITIONS[condition])
    if mask_labels:
        keep &= ~label_tokens(tokens, dataset)
    return keep


def sample_blocks(sample: np.ndarray, rows: int) -> Iterator[tuple[int, int]]:
    """Ranges [start, stop) of about `rows` rows that never cut a sample; `sample` (M) must not decrease."""
    if len(sample) == 0:
        return
    if np.any(np.diff(sample) < 0):
        raise InputError(
            "codes",
            found="tokens that are not in the order of the token table",
            expected="ascending `token`",
            mend="encode again",
        )
    firsts = np.concatenate([[0], np.flatnonzero(np.diff(sample)) + 1, [len(sample)]])
    start = 0
    while start < len(sample):
        stop = int(firsts[max(np.searchsorted(firsts, start + rows, "right") - 1, 0)])
        if stop <= start:
            stop = int(firsts[np.searchsorted(firsts, start, "right")])
        yield start, stop
        start = stop


def _order(tokens: TokenTable, dataset: pd.DataFrame, counts: np.ndarray) -> tuple[np.ndarray, list, list]:
    """Storage indices of the kept samples in dataset order, their ids, the ids of those without a token."""
    index = {sample_id: i for i, sample_id in enumerate(tokens.sample_ids)}
    ids = dataset["sample_id"].tolist()
    order = np.array([index[sample_id] for sample_id in ids], dtype=np.int64)
    kept = counts[order] > 0
    dropped = [sample_id for sample_id, keep in zip(ids, kept, strict=True) if not keep]
    if dropped:
        log.warning("%d samples have no token to pool over, the first is %s", len(dropped), dropped[0])
    return order[kept], [sample_id for sample_id, keep in zip(ids, kept, strict=True) if keep], dropped


def averaging(sample: np.ndarray, keep: np.ndarray, counts: np.ndarray) -> tuple[csr_array, np.ndarray]:
    """(s, rows) float64 matrix that averages the kept rows of each sample seen, and their indices."""
    seen, local = np.unique(sample[keep], return_inverse=True)
    columns = np.flatnonzero(keep)
    weights = 1.0 / counts[sample[keep]]
    return csr_array((weights, (local, columns)), shape=(len(seen), len(sample))), seen


def _last(sample: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """(M) bool: the last of the kept rows of each sample; `sample` (M) does not decrease."""
    kept = np.flatnonzero(keep)
    last = np.zeros_like(keep)
    last[kept[np.diff(sample[kept], append=-1) != 0]] = True
    return last


def _maximum(block: csr_array, sample: np.ndarray, keep: np.ndarray) -> tuple[csr_array, np.ndarray]:
    """(s, F) float32 maximum of each feature over the kept rows of each sample seen, and their indices."""
    seen, local = np.unique(sample[keep], return_inverse=True)
    kept = block[np.flatnonzero(keep)].tocoo()
    key = local[kept.row].astype(np.int64) * block.shape[1] + kept.col
    order = np.argsort(key, kind="stable")
    key, values = key[order], kept.data[order]
    firsts = np.flatnonzero(np.diff(key, prepend=-1))
    largest = np.maximum.reduceat(values, firsts) if len(firsts) else values
    where = (key[firsts] // block.shape[1], key[firsts] % block.shape[1])
    return csr_array((largest, where), shape=(len(seen), block.shape[1])), seen


def pool_codes(
    codes: Codes,
    tokens: TokenTable,
    dataset: pd.DataFrame,
    *,
    condition: str,
    how: How = "mean",
    mask_labels: bool = True,
    rows: int = 65536,
) -> PooledCodes:
    """Feature activations pooled over each sample's tokens; `dataset` says which samples, and their order.

    The mean counts a token in which a feature is silent as 0; sinks are left out, as from activations. The last token is the
    last that is left: after it nothing of the sample is read.
    Memory: one block of about `rows` rows of codes and the result. Raises InputError where the codes do not cover
    the condition's roles.
    """
    roles = set(CONDITIONS.get(condition, ()))
    if not roles <= set(codes.attributes["roles"]):
        raise InputError(
            codes.path,
            found=f"codes of the roles {codes.attributes['roles']}",
            expected=sorted(roles),
            mend="add the roles to the study's encoding, or pool over another condition",
        )
    if how not in get_args(How):
        raise InputError("how", found=how, expected=list(get_args(How)), mend="name one of these")
    declared = pooled_tokens(tokens, dataset, condition=condition, mask_labels=mask_labels)[codes.token]
    keep = without_sinks(codes.norm, tokens.role[codes.token], declared)
    left_out = int(declared.sum() - keep.sum())
    sample = tokens.sample[codes.token]
    if how == "last":
        keep = _last(sample, keep)
    counts = np.bincount(sample[keep], minlength=len(tokens.sample_ids))
    parts, seen = [], []
    for start, stop in sample_blocks(sample, rows):
        block, inside = codes.rows(start, stop), keep[start:stop]
        if how != "max":
            average, indices = averaging(sample[start:stop], inside, counts)
            pooled = (average @ block).astype(np.float32)
        else:
            pooled, indices = _maximum(block, sample[start:stop], inside)
        parts.append(pooled)
        seen.append(indices)
    order, ids, dropped = _order(tokens, dataset, counts)
    if not ids:
        return PooledCodes(csr_array((0, codes.d_sae), dtype=np.float32), ids, dropped, left_out)
    place = np.full(len(tokens.sample_ids), -1, dtype=np.int64)
    stored = np.concatenate(seen)
    place[stored] = np.arange(len(stored))
    values = csr_array(vstack(parts, format="csr"))[place[order]]
    values.sort_indices()
    return PooledCodes(values, ids, dropped, left_out)


def without_sinks(norm: np.ndarray, role: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """(N) bool: `keep` (N) without tokens whose norm (N) is above SINK_FACTOR times the median; role: (N).

    Where a text begins without BOS its first token is a sink, and a mean over the text would tell its length. The median
    is that of all tokens of the same roles, so that it does not hang on which samples are kept.
    """
    return keep & ~sinks(norm, norm[np.isin(role, np.unique(role[keep]))])


def sample_means(
    activations: Activations, tokens: TokenTable, keep: np.ndarray, *, rows: int = 16384
) -> tuple[np.ndarray, np.ndarray]:
    """Means (m, d_model) float32 over the tokens with `keep` (N), fp64 sums, of the samples that have any; their indices.

    Indices (m) ascend. Memory: the means and about `rows` stored rows. Raises InputError where the activations are not
    those of the tokens.
    """
    check_same_rows(activations, tokens)
    counts = np.bincount(tokens.sample[keep], minlength=len(tokens.sample_ids))
    having = np.flatnonzero(counts)
    means = np.empty((len(having), activations.d_model), dtype=np.float32)
    for start, stop in sample_blocks(tokens.sample, rows):
        if (inside := keep[start:stop]).any():
            average, seen = averaging(tokens.sample[start:stop], inside, counts)
            means[np.searchsorted(having, seen)] = average @ activations.read(start, stop).astype(np.float64)
    return means, having


def pool_activations(
    activations: Activations,
    tokens: TokenTable,
    dataset: pd.DataFrame,
    *,
    condition: str,
    mask_labels: bool = True,
    rows: int = 16384,
) -> PooledActivations:
    """Mean raw activation of each sample (fp64 sums), sinks left out; `dataset` says which samples, and their order."""
    declared = pooled_tokens(tokens, dataset, condition=condition, mask_labels=mask_labels)
    check_same_rows(activations, tokens)
    keep = without_sinks(activations.norms(), tokens.role, declared)
    if left_out := int(declared.sum() - keep.sum()):
        log.info("%s: %d of %d tokens are sinks", activations.paths[0], left_out, declared.sum())
    means, having = sample_means(activations, tokens, keep, rows=rows)
    counts = np.bincount(tokens.sample[keep], minlength=len(tokens.sample_ids))
    order, ids, dropped = _order(tokens, dataset, counts)
    values = means[np.searchsorted(having, order)]
    if not np.isfinite(values).all():
        bad = ids[int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])]
        raise InputError(
            activations.paths[0],
            found=f"a NaN or infinity in sample {bad}",
            expected="finite activations",
            mend="extract the part again",
        )
    return PooledActivations(values, ids, dropped, left_out)
