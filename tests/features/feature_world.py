"""A small study on disk, drawn from a seed: dataset, token tables, activations and a random TopK code."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.sparse import csr_array

from crosslens.tables.activations import create_activations, pack
from crosslens.tables.codes import write_codes
from crosslens.tables.documents import write_table
from crosslens.tables.tokens import ROLES, TokenTable, read_tokens, write_tokens

# one thread: tiny products are slower on two, far slower where another process wants the second
torch.set_num_threads(1)

CATEGORIES = ("nurse", "doctor", "guard", "cook")
SPLITS = ("train", "train", "select", "test")


@dataclass
class World:
    root: Path
    dataset: Path
    frame: pd.DataFrame
    tokens: list[Path]
    table: TokenTable
    activations: list[Path]
    x: np.ndarray
    """(N, d) float32: all activations."""


def make_world(root: Path, *, n: int, d: int, parts: int, seed: int, dtype: str = "float32") -> World:
    """`n` samples of 2 captions an image in `parts` parts; tokens: bos, 2 image, 3 prompt, 4-9 caption."""
    rng = np.random.default_rng(seed)
    words = [f"w{i}" for i in range(40)]
    rows, samples = [], []
    for i in range(n):
        caption_words = [str(w) for w in rng.choice(words, rng.integers(4, 10))]
        caption = " ".join(caption_words)
        starts = np.cumsum([0] + [len(w) + 1 for w in caption_words[:-1]])
        spans = [[int(starts[1]), int(starts[1]) + len(caption_words[1])]]
        image = i // 2
        rows.append(
            {
                "sample_id": f"img{image}#{i % 2}",
                "image_id": f"img{image}",
                "row": i + 1,
                "caption": caption,
                "prompt": "say it now",
                "gender": ("male", "female", "unknown")[image % 3],
                "gender_source": "column",
                "category": CATEGORIES[(image // len(SPLITS)) % len(CATEGORIES)],
                "image": "",
                "image_sha256": "",
                "split": SPLITS[image % len(SPLITS)],
                "label_spans": json.dumps(spans),
            }
        )
        samples.append((caption_words, starts))
    frame = pd.DataFrame(rows)
    dataset = root / "en.parquet"
    write_table(dataset, "dataset", frame)
    order = rng.permutation(n)
    token_paths, activation_paths, xs = [], [], []
    mean = rng.normal(size=d) * 2
    for part, members in enumerate(np.array_split(order, parts)):
        columns = {key: [] for key in ("sample", "position", "token_id", "role", "char_start", "char_end")}
        offsets = [0]
        for local, i in enumerate(members):
            caption_words, starts = samples[i]
            spans = [("bos", 0, -1, -1), ("image", 1, -1, -1), ("image", 1, -1, -1)]
            spans += [("prompt", 2, 0, 3), ("prompt", 3, 4, 6), ("prompt", 4, 7, 10)]
            spans += [
                ("caption", 5 + words.index(w), int(s), int(s) + len(w))
                for w, s in zip(caption_words, starts, strict=True)
            ]
            for position, (role, token_id, start, stop) in enumerate(spans):
                values = (local, position, token_id, ROLES.index(role), start, stop)
                for key, value in zip(columns, values, strict=True):
                    columns[key].append(value)
            offsets.append(offsets[-1] + len(spans))
        table = TokenTable(
            sample_ids=tuple(frame["sample_id"].iloc[members]),
            offsets=np.array(offsets),
            **{key: np.array(value) for key, value in columns.items()},
        )
        path = root / f"tokens_{part:04d}.zarr"
        write_tokens(path, table, language="en")
        token_paths.append(path)
        basis = np.random.default_rng(seed + 1).normal(size=(60, d))
        x = (mean + basis[table.token_id] + 0.5 * rng.normal(size=(len(table), d))).astype(np.float32)
        path = root / f"activations_{part:04d}.zarr"
        attributes = {"site": "4", "layer": 4, "language": "en", "model": "toy", "revision": "0"}
        group = create_activations(path, d_model=d, dtype=dtype, shard_bytes=1 << 20, **attributes)
        group["values"].resize((len(x), d))
        group["norm"].resize((len(x),))
        group["values"][:] = pack(x, dtype)
        group["norm"][:] = np.linalg.norm(x, axis=1)
        activation_paths.append(path)
        xs.append(x)
    table = read_tokens(token_paths)
    return World(root, dataset, frame, token_paths, table, activation_paths, np.concatenate(xs))


def make_codes(world: World, path: Path, *, d_sae: int, k: int, seed: int, roles=("prompt", "caption")):
    """Random sparse codes of the text tokens; returns (path, dense (M, F) float32, token (M))."""
    rng = np.random.default_rng(seed)
    token = np.flatnonzero(world.table.has_role(roles))
    dense = np.zeros((len(token), d_sae), dtype=np.float32)
    alive = d_sae - 3
    weights = 1 / np.arange(1, alive + 1)
    for row in dense:
        chosen = rng.choice(alive, rng.integers(0, k + 1), replace=False, p=weights / weights.sum())
        row[chosen] = rng.gamma(2.0, 1.0, len(chosen))
    blocks = [csr_array(dense[i : i + 100]) for i in range(0, len(dense), 100)]
    write_codes(
        path, blocks, token=token, d_sae=d_sae, sae="0" * 64, roles=list(roles), language="en", site="4"
    )
    return path, dense, token
