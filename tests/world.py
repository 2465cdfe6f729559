"""A small study on disk, made by the library's own writers. What is planted in it, each test says itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from crosslens.tables.activations import create_activations, pack
from crosslens.tables.codes import write_codes
from crosslens.tables.documents import write_json, write_table
from crosslens.tables.tokens import ROLES, TokenTable, write_tokens


class Token(NamedTuple):
    """One token of a sample."""

    role: str
    start: int = -1
    end: int = -1
    id: int = 0


def tokens_of(role: str, words: list[str]) -> list[Token]:
    """A token for each word of the text that they make with spaces between."""
    starts = np.cumsum([0] + [len(word) + 1 for word in words[:-1]]).tolist()
    return [Token(role, start, start + len(word)) for start, word in zip(starts, words, strict=True)]


def table_of(samples: dict[str, list[Token]]) -> TokenTable:
    """The token table of samples by their ids."""
    lengths = [len(tokens) for tokens in samples.values()]
    role, start, end, token = zip(*(token for tokens in samples.values() for token in tokens), strict=True)
    return TokenTable(
        sample_ids=tuple(samples),
        offsets=np.cumsum([0, *lengths]),
        sample=np.repeat(np.arange(len(samples)), lengths),
        position=np.concatenate([np.arange(length) for length in lengths]),
        token_id=np.array(token, dtype=np.int32),
        role=np.array([ROLES.index(name) for name in role]),
        char_start=np.array(start),
        char_end=np.array(end),
    )


def write_site(
    path: Path, x: np.ndarray, *, language: str = "en", site: str = "4", dtype: str = "float32"
) -> Path:
    """Activations x (N, d) of one part."""
    identity = {"site": site, "layer": int(site.split(".")[0]), "model": "toy", "revision": "1"}
    group = create_activations(
        path, d_model=x.shape[1], dtype=dtype, shard_bytes=1 << 22, rows=len(x), language=language, **identity
    )
    group["values"][:] = pack(x, dtype)
    group["norm"][:] = np.linalg.norm(x, axis=1)
    return path


def write_dense_codes(
    path: Path,
    codes: np.ndarray,
    token: np.ndarray | None = None,
    *,
    sae: str,
    roles: Iterable[str],
    norm: np.ndarray | None = None,
    **more,
) -> Path:
    """Codes (M, F) of the rows `token` (M) of the token table, by default of all, of one norm where none are given."""
    token = np.arange(len(codes)) if token is None else token
    more = {"language": "en", "site": "4"} | more
    blocks = [csr_array(codes[i : i + 100]) for i in range(0, len(codes), 100)]
    norm = np.ones(len(codes)) if norm is None else norm
    write_codes(
        path, blocks, token=token, norm=norm, d_sae=codes.shape[1], sae=sae, roles=list(roles), **more
    )
    return path


@dataclass
class Corpus:
    """What a study has of one language at one site."""

    frame: pd.DataFrame
    dataset: Path
    table: TokenTable
    tokens: list[Path]
    x: np.ndarray
    """(N, d) float32: the activations of all tokens."""
    activations: list[Path]
    codes: Path | None = None


def write_corpus(
    folder: Path,
    frame: pd.DataFrame,
    samples: dict[str, list[Token]],
    x: np.ndarray,
    *,
    language: str = "en",
    parts: int = 1,
    **stored,
) -> Corpus:
    """Samples in the order in which they are stored, and the activations x (N, d) of their tokens; the frame's may differ."""
    folder.mkdir(parents=True, exist_ok=True)
    dataset, x = folder / f"{language}.parquet", x.astype(np.float32)
    write_table(dataset, "dataset", frame)
    corpus = Corpus(frame, dataset, table_of(samples), [], x, [])
    rows = 0
    for part, ids in enumerate(np.array_split(list(samples), parts)):
        table = table_of({sample_id: samples[sample_id] for sample_id in ids.tolist()})
        corpus.tokens.append(folder / f"{language}_tokens_{part:04d}.zarr")
        write_tokens(corpus.tokens[-1], table, language=language)
        path = folder / f"{language}_activations_{part:04d}.zarr"
        corpus.activations.append(write_site(path, x[rows : rows + len(table)], language=language, **stored))
        rows += len(table)
    return corpus


class World(dict[str, Corpus]):
    """Language → what the study has of it; stages take each kind by itself."""

    datasets = property(lambda self: {language: corpus.dataset for language, corpus in self.items()})
    tokens = property(lambda self: {language: corpus.tokens for language, corpus in self.items()})
    activations = property(lambda self: {language: corpus.activations for language, corpus in self.items()})
    codes = property(lambda self: {language: corpus.codes for language, corpus in self.items()})

    @property
    def inputs(self) -> dict[str, dict]:
        """The arguments of a stage that reads activations of all languages."""
        return {"datasets": self.datasets, "tokens": self.tokens, "activations": self.activations}


def write_promoted(folder: Path, tokens: dict[int, dict[str, list[str]]], *, sae: str) -> Path:
    """An artifact `promoted`: feature -> side -> its tokens, the strongest first; in no order on disk."""
    folder.mkdir(parents=True)
    rows = [
        {
            "feature": feature,
            "side": side,
            "rank": rank,
            "token_id": rank,
            "logit": 1.0 / rank,
            "token": token,
        }
        for feature, sides in tokens.items()
        for side, some in sides.items()
        for rank, token in enumerate(some, 1)
    ]
    write_table(folder / "tokens.parquet", "promoted_tokens", pd.DataFrame(rows)[::-1])
    write_json(folder / "promoted.json", "promoted", {"sae": sae})
    return folder
