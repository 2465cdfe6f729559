"""A small store of activations with known features, and a training that leaves time to kill it."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
from world import Token, World, write_corpus

from crosslens.sae import run, training
from crosslens.tables.tokens import ROLES

IDENTITY = {"corpus": "joint", "site": "4", "seed": 0, "model": "toy", "revision": "1"}


def planted(count: int, *, d: int, m: int, active: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(count, d) float32 sparse non-negative combinations of m random unit directions, and these (m, d)."""
    rng = np.random.default_rng(1234)
    directions = rng.standard_normal((m, d))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    rng = np.random.default_rng(seed)
    which = np.argsort(rng.random((count, m)), axis=1)[:, :active]
    weights = rng.uniform(0.5, 1.5, (count, active))
    x = np.einsum("na,nad->nd", weights, directions[which])
    return x.astype(np.float32), directions.astype(np.float32)


def write_store(
    folder: Path,
    values: dict[str, np.ndarray],
    *,
    per_sample: int = 10,
    parts: int = 2,
    roles: np.ndarray | None = None,
    splits: tuple[str, ...] = ("train",),
    dtype: str = "float32",
    site: str = "4",
) -> dict:
    """Store values {language: (N, d)} as samples of `per_sample` tokens; the inputs of `train_saes`.

    roles (per_sample) are indices into ROLES, all "caption" by default; splits are dealt to samples in turn.
    """
    roles = np.full(per_sample, ROLES.index("caption")) if roles is None else roles
    tokens, world = [Token(ROLES[role]) for role in roles], World()
    for language, x in values.items():
        ids = [f"image{i}#0" for i in range(len(x) // per_sample)]
        split = [splits[i % len(splits)] for i in range(len(ids))]
        frame = pd.DataFrame({"sample_id": ids, "split": split})
        samples = dict.fromkeys(ids, tokens)
        world[language] = write_corpus(
            folder, frame, samples, x, language=language, parts=parts, dtype=dtype, site=site
        )
    return world.inputs


def sae_in(folder: Path, *, target: str | None = None, languages=("en", "ar"), **settings) -> dict:
    """One of the `saes` of `train_saes`, with `out` in `folder`; corpus and seed of its identity among `settings`."""
    identity = IDENTITY | {key: settings.pop(key) for key in ("corpus", "seed") if key in settings}
    given = {"identity": identity, "settings": settings, "languages": languages, "out": folder / "out"}
    return given | ({"target": target} if target else {})


def files_of(sae: dict) -> dict[str, bytes]:
    """The bytes of what was written for one of `saes`, by file name."""
    return {path.name: path.read_bytes() for path in sae["out"].iterdir()}


def train_slowly(pause: float, sigterm_in_step: int, **arguments) -> None:
    """`train_saes` in a process of its own, with a pause in every step and a SIGTERM to itself in one (0: none)."""
    step, calls = run.train_step, 0

    def paused(*args, **kwargs):
        nonlocal calls
        calls += 1
        time.sleep(pause)
        if calls == sigterm_in_step:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(*args, **kwargs)

    run.train_step = paused
    training.train_saes(**arguments)
