"""A drawn corpus whose activations follow its tokens, and a random TopK code of it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from world import Corpus, Token, table_of, tokens_of, write_corpus, write_dense_codes

# one thread: tiny products are slower on two, far slower where another process wants the second
torch.set_num_threads(1)

CATEGORIES = ("nurse", "doctor", "guard", "cook")
SPLITS = ("train", "train", "select", "test")
WORDS = [f"w{i}" for i in range(40)]


def make_world(root: Path, *, n: int, d: int, parts: int, seed: int, dtype: str = "float32") -> Corpus:
    """`n` samples of 2 captions an image in `parts` parts; tokens: bos, 2 image, 3 prompt, 4-9 caption."""
    rng = np.random.default_rng(seed)
    rows, samples = [], []
    before = [Token("bos", id=0), *[Token("image", id=1)] * 2]
    before += [token._replace(id=2 + i) for i, token in enumerate(tokens_of("prompt", ["say", "it", "now"]))]
    for i in range(n):
        words = [str(word) for word in rng.choice(WORDS, rng.integers(4, 10))]
        caption = [
            token._replace(id=5 + WORDS.index(word))
            for token, word in zip(tokens_of("caption", words), words, strict=True)
        ]
        image = i // 2
        rows.append(
            {
                "sample_id": f"img{image}#{i % 2}",
                "image_id": f"img{image}",
                "row": i + 1,
                "caption": " ".join(words),
                "prompt": "say it now",
                "gender": ("male", "female", "unknown")[image % 3],
                "gender_source": "column",
                "category": CATEGORIES[(image // len(SPLITS)) % len(CATEGORIES)],
                "image": "",
                "image_sha256": "",
                "split": SPLITS[image % len(SPLITS)],
                "label_spans": json.dumps([[caption[1].start, caption[1].end]]),
            }
        )
        samples.append(before + caption)
    stored = {rows[i]["sample_id"]: samples[i] for i in rng.permutation(n)}
    mean = rng.normal(size=d) * 2
    basis = np.random.default_rng(seed + 1).normal(size=(60, d))
    of_token = basis[table_of(stored).token_id]
    x = mean + of_token + 0.5 * rng.normal(size=of_token.shape)
    return write_corpus(root, pd.DataFrame(rows), stored, x, parts=parts, dtype=dtype)


def make_codes(world: Corpus, path: Path, *, d_sae: int, k: int, seed: int, roles=("prompt", "caption")):
    """Random sparse codes of the text tokens; returns (path, dense (M, F) float32, token (M))."""
    rng = np.random.default_rng(seed)
    token = np.flatnonzero(world.table.has_role(roles))
    dense = np.zeros((len(token), d_sae), dtype=np.float32)
    alive = d_sae - 3
    weights = 1 / np.arange(1, alive + 1)
    for row in dense:
        chosen = rng.choice(alive, rng.integers(0, k + 1), replace=False, p=weights / weights.sum())
        row[chosen] = rng.gamma(2.0, 1.0, len(chosen))
    return write_dense_codes(path, dense, token, sae="0" * 64, roles=roles), dense, token
