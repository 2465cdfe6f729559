"""The order in which samples are computed and the rows that each fills: known before the first forward pass."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from crosslens.errors import InputError
from crosslens.generation.continuation import encode_samples
from crosslens.models.inputs import Encoded, Sample
from crosslens.models.lengths import check_lengths
from crosslens.models.load import LoadedModel
from crosslens.tables.roles import ROLES
from crosslens.tables.tokens import TokenTable

ENCODE_AT_ONCE = 512
_COLUMNS = ("token_id", "role", "char_start", "char_end")


class BatchPlan(NamedTuple):
    """Samples that go through the model together."""

    samples: np.ndarray
    """(B) indices into the samples as given."""
    start: int
    """First stored row of the batch."""
    stop: int
    """Row behind its last."""


@dataclass(frozen=True)
class Plan:
    """What will be stored, in storage order."""

    batches: list[BatchPlan]
    tokens: TokenTable
    """The N stored tokens."""
    roles: tuple[str, ...]
    """Of the stored tokens."""

    @property
    def rows(self) -> int:
        """N, the number of stored tokens."""
        return len(self.tokens)

    def from_row(self, row: int) -> Iterator[BatchPlan]:
        """The batches from the one that holds `row` on."""
        return (batch for batch in self.batches if batch.stop > row)

    def digest(self) -> str:
        """sha256 over everything that decides which values stand in which row."""
        found = hashlib.sha256(json.dumps([self.tokens.sample_ids, self.roles]).encode())
        for column in ("offsets", "position", "token_id", "role"):
            found.update(np.ascontiguousarray(getattr(self.tokens, column)).tobytes())
        found.update(np.array([batch.start for batch in self.batches], dtype=np.int64).tobytes())
        return found.hexdigest()


def make_plan(
    loaded: LoadedModel,
    samples: Sequence[Sample],
    *,
    images: Path | None = None,
    roles: Sequence[str],
    batch_tokens: int,
) -> Plan:
    """Order the samples by their number of tokens (equals in the order given) and cut them into batches.

    images: the folder of the pictures, whose sizes decide the number of tokens in some families (only headers are read,
    and only there). roles: the roles that are stored. batch_tokens: bound of padded tokens per batch.
    Raises InputError for no samples, an unknown role, samples that are longer than the model or a batch allows, and a
    sample with nothing to store.
    """
    if not samples:
        raise InputError(
            "rows", found="no samples", expected="at least one", mend="correct the rows asked for"
        )
    if unknown := set(roles) - set(ROLES):
        raise InputError(
            "roles", found=sorted(unknown), expected=f"some of {', '.join(ROLES)}", mend="correct the roles"
        )
    lengths = np.zeros(len(samples), dtype=np.int64)
    stored: list[Encoded] = []
    positions: list[np.ndarray] = []
    for first in range(0, len(samples), ENCODE_AT_ONCE):
        block = samples[first : first + ENCODE_AT_ONCE]
        for i, (sample, encoded) in enumerate(
            zip(block, encode_samples(loaded, block, images=images), strict=True)
        ):
            lengths[first + i] = len(encoded)
            kept = np.flatnonzero(_has_role(encoded.role, roles))
            _check_not_empty(sample, encoded.role[kept], roles)
            positions.append(kept.astype(np.int32))
            stored.append(Encoded(*(column[kept] for column in encoded)))
    check_lengths(loaded, [sample.sample_id for sample in samples], lengths, batch_tokens=batch_tokens)
    order = np.argsort(lengths, kind="stable")
    offsets = np.concatenate([[0], np.cumsum([len(stored[i]) for i in order])]).astype(np.int64)
    columns = {name: np.concatenate([getattr(stored[i], name) for i in order]) for name in _COLUMNS}
    tokens = TokenTable(
        sample_ids=tuple(samples[i].sample_id for i in order),
        offsets=offsets,
        sample=np.repeat(np.arange(len(order), dtype=np.int32), np.diff(offsets)),
        position=np.concatenate([positions[i] for i in order]),
        **columns,
    )
    batches = [
        BatchPlan(order[low:high], int(offsets[low]), int(offsets[high]))
        for low, high in cut(lengths[order], batch_tokens)
    ]
    return Plan(batches, tokens, tuple(roles))


def cut(lengths: np.ndarray, batch_tokens: int) -> Iterator[tuple[int, int]]:
    """Half-open ranges of the ascending `lengths` (n), each of at most `batch_tokens` tokens when padded."""
    low = 0
    for i in range(1, len(lengths) + 1):
        if i == len(lengths) or (i + 1 - low) * lengths[i] > batch_tokens:
            yield low, i
            low = i


def _has_role(role: np.ndarray, roles: Sequence[str]) -> np.ndarray:
    return np.isin(role, [ROLES.index(name) for name in roles])


def _check_not_empty(sample: Sample, role: np.ndarray, roles: Sequence[str]) -> None:
    lacks_caption = "caption" in roles and not _has_role(role, ["caption"]).any()
    if lacks_caption or not len(role):
        raise InputError(
            f"sample {sample.sample_id}",
            found=f"no {'caption ' if lacks_caption else ''}tokens",
            expected=f"tokens of the roles {', '.join(roles)}",
            mend="quarantine the sample in the dataset, or store other roles",
        )
