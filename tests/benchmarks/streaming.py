"""Training on more activations than memory holds: peak memory, tokens/s, and how long a step waits for its data.

`python tests/benchmarks/streaming.py [--gb 40] [--d-model 2560] [--d-sae 2560] [--k 32] [--threads N] [--json]`: one
epoch of a TopK SAE through `train_saes` on that many GB of bfloat16 activations, in a process of its own. Up to
`--distinct-gb` of them are random features with noise, written as extraction writes them; more are the same parts
again through links, read and decompressed anew each time, where memory allows from the page cache. With `--json` the
last line of stdout is one object. Ends with 1 where a stated limit is missed, unless `--no-check`.
"""

import argparse
import json
import logging
import multiprocessing
import os
import re
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from crosslens.sae.training import train_saes
from crosslens.tables.activations import create_activations
from crosslens.tables.documents import write_table
from crosslens.tables.tokens import ROLES, TokenTable, write_tokens

MAX_PEAK_GB, MAX_DATA_WAIT = 3.0, 0.05
"""The limits: resident memory of the training process, and the share of its time that it waits for data."""
GB = 10**9
PART_GB = 0.5
SAMPLE_TOKENS = 64
SHARD_BYTES = 64 << 20
FEATURES, ACTIVE = 4096, 24
"""Of the synthetic activations: how many directions there are, and how many of them a token has."""
IDENTITY = {
    "corpus": "en",
    "site": "4",
    "seed": 0,
    "model": "synthetic",
    "revision": "1",
}
log = logging.getLogger(__name__)


def make_part(folder: Path, number: int, tokens: int, d_model: int) -> None:
    """One part's token table and its activations: sparse random features, noise, and an offset, in bfloat16."""
    samples = tokens // SAMPLE_TOKENS
    empty = np.full(tokens, -1)
    table = TokenTable(
        sample_ids=tuple(f"image{number}_{i}#0" for i in range(samples)),
        offsets=np.arange(samples + 1) * SAMPLE_TOKENS,
        sample=np.repeat(np.arange(samples), SAMPLE_TOKENS),
        position=np.tile(np.arange(SAMPLE_TOKENS), samples),
        token_id=np.zeros(tokens),
        role=np.full(tokens, ROLES.index("caption")),
        char_start=empty,
        char_end=empty,
    )
    write_tokens(folder / f"tokens{number}.zarr", table, language="en")
    group = create_activations(
        folder / f"activations{number}.zarr",
        d_model=d_model,
        dtype="bfloat16",
        shard_bytes=SHARD_BYTES,
        site=IDENTITY["site"],
        layer=4,
        language="en",
        model=IDENTITY["model"],
        revision=IDENTITY["revision"],
    )
    for name in ("values", "norm"):
        group[name].resize((tokens, *group[name].shape[1:]))
    directions = torch.randn(FEATURES + 1, d_model, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1 + number)
    norms = np.empty(tokens, dtype=np.float32)
    rows = group["values"].shards[0]
    for start in range(0, tokens, rows):
        count = min(rows, tokens - start)
        # frequent features and rare ones
        which = (torch.rand(count, ACTIVE, generator=generator).square() * FEATURES).long()
        weights = torch.rand(count, ACTIVE, generator=generator) + 0.5
        x = F.embedding_bag(which, directions, per_sample_weights=weights, mode="sum")
        x += torch.randn(x.shape, generator=generator).add_(directions[-1], alpha=10)
        stored = x.bfloat16()
        norms[start : start + count] = stored.float().norm(dim=1).numpy()
        group["values"][start : start + count] = stored.view(torch.uint16).numpy()
    group["norm"][:] = norms


def make_store(folder: Path, *, gb: float, distinct_gb: float, d_model: int) -> tuple[int, int]:
    """The inputs of `train_saes`, numbered parts in `folder`; how many there are, and bytes of activations on disk."""
    parts = max(1, round(gb / PART_GB))
    distinct = min(parts, max(1, round(distinct_gb / PART_GB)))
    samples = max(1, round(gb * GB / parts / (2 * d_model * SAMPLE_TOKENS)))
    began = time.perf_counter()
    ids = [f"image{number}_{i}#0" for number in range(distinct) for i in range(samples)]
    write_table(folder / "en.parquet", "dataset", pd.DataFrame({"sample_id": ids, "split": "train"}))
    for number in range(distinct):
        make_part(folder, number, samples * SAMPLE_TOKENS, d_model)
    made = [path for path in folder.glob("activations*.zarr/**/*") if path.is_file()]
    for number in range(distinct, parts):
        for name in ("tokens", "activations"):
            (folder / f"{name}{number}.zarr").symlink_to(folder / f"{name}{number % distinct}.zarr")
    log.info("made %d parts, %d of them distinct, in %.0f s", parts, distinct, time.perf_counter() - began)
    return parts, sum(path.stat().st_size for path in made)


class LastLine(logging.Handler):
    """Keeps the last line that the training shows of its progress."""

    line = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.line = record.getMessage()


def train(folder: Path, parts: int, settings: dict[str, Any], threads: int | None) -> dict[str, float]:
    """One epoch in this process; what its log shows at the end, and the most memory that it held."""
    if threads:
        torch.set_num_threads(threads)
    shown = LastLine()
    logging.getLogger("crosslens").setLevel(logging.INFO)
    logging.getLogger("crosslens.progress").addHandler(shown)
    began = time.perf_counter()
    train_saes(
        datasets={"en": folder / "en.parquet"},
        tokens={"en": [folder / f"tokens{number}.zarr" for number in range(parts)]},
        activations={"en": [folder / f"activations{number}.zarr" for number in range(parts)]},
        saes=[
            {"identity": IDENTITY, "settings": settings, "languages": ["en"], "out": folder / "work" / "sae"}
        ],
    )
    found = re.search(
        r"([\d,]+) of ([\d,]+) tokens .*?, ([\d,]+) tokens/s.* data_wait ([\d.e+-]+)", shown.line
    )
    if found is None or found[1] != found[2]:
        raise RuntimeError(f"no progress to the end: {shown.line!r}")
    unit = 1 if sys.platform == "darwin" else 1024
    account = json.loads((folder / "work" / "sae" / "training.json").read_text())
    return {
        "tokens": int(found[1].replace(",", "")),
        "tokens_per_s": float(found[3].replace(",", "")),
        "data_wait": float(found[4]),
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / GB,
        "seconds": time.perf_counter() - began,
        "fvu": account["curve"][-1]["fvu"],
    }


def in_a_process(work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What `work` returns, in a new process: what was made before is not in its memory."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=show_log) as pool:
        return pool.submit(work, *arguments, **named).result()


def show_log() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")


def measure(given: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Makes the activations in `folder`, trains on them, and says what that took."""
    needed = 1.1 * min(given.gb, given.distinct_gb) + 0.1 + 16 * given.d_model * given.d_sae * 4 / GB
    free = shutil.disk_usage(folder).free / GB
    if free < needed:
        sys.exit(f"{folder}: {free:.1f} GB free; up to {needed:.1f} GB are needed (--distinct-gb, --folder)")
    parts, on_disk = in_a_process(
        make_store, folder, gb=given.gb, distinct_gb=given.distinct_gb, d_model=given.d_model
    )
    settings = {"k": given.k, "d_sae": given.d_sae, "batch_tokens": given.batch_tokens}
    found = in_a_process(train, folder, parts, settings, given.threads)
    logical = found["tokens"] * given.d_model * 2
    return {
        "gb": logical / GB,
        **found,
        "distinct_gb_on_disk": on_disk / GB,
        "gb_per_s": logical / GB * found["tokens_per_s"] / found["tokens"],
        "d_model": given.d_model,
        "d_sae": given.d_sae,
        "threads": given.threads or torch.get_num_threads(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gb", type=float, default=40.0, help="activations that are read, in GB of bfloat16")
    parser.add_argument("--distinct-gb", type=float, default=2.0, help="how many of them are written")
    parser.add_argument("--d-model", type=int, default=2560)
    parser.add_argument("--d-sae", type=int, default=2560)
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--batch-tokens", type=int, default=1024)
    parser.add_argument("--threads", type=int, help="of the training; by default torch's own choice")
    parser.add_argument(
        "--folder", type=Path, help="where a temporary folder is made; by default the system's place"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--no-check", action="store_true", help="end with 0 whatever the limits say")
    given = parser.parse_args()
    show_log()
    if given.threads:
        os.environ["OMP_NUM_THREADS"] = str(given.threads)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        found = measure(given, Path(folder))
    for name, value in found.items():
        log.info("%s: %.4g", name, value)
    kept = found["peak_gb"] <= MAX_PEAK_GB and found["data_wait"] <= MAX_DATA_WAIT
    log.info(
        "limits, %.0f GB and data_wait %.2f: %s", MAX_PEAK_GB, MAX_DATA_WAIT, "kept" if kept else "MISSED"
    )
    if given.json:
        sys.stdout.write(json.dumps({**found, "limits_kept": kept}) + "\n")
    if not (kept or given.no_check):
        sys.exit(1)


if __name__ == "__main__":
    main()
