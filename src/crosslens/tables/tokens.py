"""The token table: which token of which sample each row of the activations is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crosslens.tables.arrays import attribute, create_group, open_array, open_group, read_rows, write_column
from crosslens.tables.roles import ROLES

_COLUMNS = {
    "sample": "int32",
    "position": "int32",
    "token_id": "int32",
    "role": "uint8",
    "char_start": "int32",
    "char_end": "int32",
}


@dataclass(frozen=True)
class TokenTable:
    """N tokens of n samples, stored sample after sample."""

    sample_ids: tuple[str, ...]
    """(n) sample ids, in storage order."""
    offsets: np.ndarray
    """(n+1) int64: sample i is rows offsets[i] to offsets[i+1]."""
    sample: np.ndarray
    """(N) int32 index into `sample_ids`."""
    position: np.ndarray
    """(N) int32 position in the sample's unpadded input."""
    token_id: np.ndarray
    """(N) int32 vocabulary id."""
    role: np.ndarray
    """(N) uint8 index into ROLES."""
    char_start: np.ndarray
    """(N) int32 start in the sample's caption (role caption) or prompt (role prompt), -1 where it has no place there."""
    char_end: np.ndarray
    """(N) int32 end, exclusive; -1 likewise."""

    def __len__(self) -> int:
        return len(self.sample)

    def has_role(self, roles: Iterable[str]) -> np.ndarray:
        """(N) bool: the tokens whose role is one of `roles`."""
        return np.isin(self.role, [ROLES.index(role) for role in roles])


def write_tokens(path: Path, table: TokenTable, *, language: str) -> None:
    """Write `table` as a Zarr group of kind `tokens`."""
    group = create_group(
        path, "tokens", language=language, roles=list(ROLES), sample_ids=list(table.sample_ids)
    )
    for name, dtype in _COLUMNS.items():
        write_column(group, name, getattr(table, name).astype(dtype))
    write_column(group, "offsets", table.offsets.astype("int64"))


def read_tokens(paths: Path | Sequence[Path]) -> TokenTable:
    """The token table of one part, or of several one after the other (sample indices run on)."""
    groups = [open_group(path, "tokens") for path in ([paths] if isinstance(paths, str | Path) else paths)]
    columns: dict[str, list[np.ndarray]] = {name: [] for name in (*_COLUMNS, "offsets")}
    sample_ids: list[str] = []
    rows = 0
    for group in groups:
        for name in _COLUMNS:
            column = read_rows(open_array(group, name))
            columns[name].append(column + (len(sample_ids) if name == "sample" else 0))
        offsets = read_rows(open_array(group, "offsets"))
        columns["offsets"].append(offsets[:-1] + rows)
        rows += int(offsets[-1])
        sample_ids += attribute(group, "sample_ids", list)
    columns["offsets"].append(np.array([rows], dtype=np.int64))
    merged = {name: np.concatenate(parts) for name, parts in columns.items()}
    return TokenTable(sample_ids=tuple(sample_ids), **merged)
