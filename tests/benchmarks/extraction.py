"""Extraction of all blocks at once against the bare forward pass of the same model, dtype and batches.

`python tests/benchmarks/extraction.py [--model FOLDER --dataset PARQUET --images FOLDER] [--samples N] [--json]`: without
a model a seeded random Gemma 3 with the proportions of the 270M one (18 blocks, d_model 640; its vocabulary is cut, the
embedding being looked up only) reads captions of about 64 tokens. Both are measured by turns in one process, so that
what else the machine does meets both alike.

- forward: the model's own pass over the same batches, inputs ready and on the device, without unembedding (extraction
  does not need it either) and without anything being kept. It too runs inside `memory_kept`, or it would be slower.
- extraction: everything between the plan and the finished artifacts, so tokenising, pictures, padding, capture, norms,
  check for NaN, bfloat16, compression, disk and the checksums that resuming goes by. Loading the model, planning, and
  the sha256 by which the store files what is finished are in neither.

Shards are small, so that as in a long run they are written while the model works and not all at the end.

`ratio_of_forward` is forward / extraction in wall time, `ratio_of_forward_cpu` in processor time of all threads, which
other work on the machine disturbs less; both are medians over `--repeats`. `peak_mb` is what extraction adds to the
resident memory of the process that has loaded the model and run it. With `--json` the last line is one JSON object.
"""

import argparse
import json
import logging
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# As in the workflow (rules/common.smk), and read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from transformers import Gemma3ForCausalLM, Gemma3TextConfig

from crosslens.activations.extract import STORED_ROLES, read_samples, run_batches
from crosslens.activations.plan import make_plan
from crosslens.activations.writer import SiteWriter
from crosslens.memory import memory_kept
from crosslens.models.inputs import collate, encode, load_images
from crosslens.models.load import LoadedModel, load_model
from crosslens.tables.documents import read_table, write_table

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
from tiny import save_dataset, tiny_tokenizer

SIZES_270M = {
    "hidden_size": 640,
    "intermediate_size": 2048,
    "num_hidden_layers": 18,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 256,
    "query_pre_attn_scalar": 256,
    "sliding_window": 512,
}
WORDS = 24
"""Of a caption: about 64 of the toy tokenizer's tokens with the prompt."""
log = logging.getLogger(__name__)


def save_270m(folder: Path) -> Path:
    """A random Gemma 3 of the 270M one's proportions but for its vocabulary, in bfloat16."""
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = None
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Gemma3ForCausalLM(Gemma3TextConfig(vocab_size=len(tokenizer), **SIZES_270M))
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_captions(folder: Path, samples: int) -> Path:
    """A dataset of seeded English captions without pictures."""
    path, _ = save_dataset(folder, "en", samples, images=False)
    table = read_table(path, "dataset")
    words = sorted({word for caption in table["caption"] for word in caption.split()})
    generator = np.random.default_rng(0)
    lengths = generator.integers(WORDS * 3 // 4, WORDS * 5 // 4, samples)
    table["caption"] = [" ".join(generator.choice(words, length)) for length in lengths]
    write_table(path, "dataset", table)
    return path


def peak_mb() -> float:
    """Largest resident memory of this process so far, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


class Clock:
    """Wall and processor seconds (of all threads) of the blocks that were timed."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu


def measure(
    model: Path,
    dataset: Path,
    images: Path | None,
    *,
    samples: int,
    repeats: int,
    dtype: str,
    attention: str,
    batch_tokens: int,
    shard_mb: float,
) -> dict[str, float]:
    """Both ratios, what extraction adds to the peak memory, and what it stores; see the module."""
    loaded = load_model(str(model), dtype=dtype, attention=attention)
    rows = read_samples(dataset, (1, samples))
    plan = make_plan(loaded, rows, images=images, roles=STORED_ROLES, batch_tokens=batch_tokens)
    stored_bytes: list[int] = []
    padded: list[int] = []

    @memory_kept()
    def forward(clock: Clock) -> None:
        padded.clear()
        for planned in plan.batches:
            chosen = [rows[i] for i in planned.samples]
            encoded = encode(loaded, chosen, with_caption=True, images=images)
            inputs = collate(loaded, encoded, load_images(loaded, chosen, images)).inputs
            padded.append(inputs["input_ids"].numel())
            _wait(loaded)
            with clock.running(), torch.inference_mode():
                loaded.model.base_model(**inputs, use_cache=False)
                _wait(loaded)

    def extraction(clock: Clock) -> None:
        with tempfile.TemporaryDirectory() as folder, clock.running():
            writers = {
                str(layer): SiteWriter(
                    Path(folder) / f"{layer}.zarr",
                    rows=plan.rows,
                    d_model=loaded.d_model,
                    dtype="bfloat16",
                    shard_bytes=round(shard_mb * 2**20),
                    plan="",
                    attributes={"site": str(layer)},
                )
                for layer in range(loaded.n_layers)
            }
            run_batches(loaded, rows, plan, writers, images=images, dtype="bfloat16", language="")
            for writer in writers.values():
                writer.finish()
            clock.wall -= _seconds(lambda: stored_bytes.append(_size(Path(folder))))

    forward(Clock())
    before = peak_mb()
    times: dict[str, list[Clock]] = {"forward": [], "extraction": []}
    for _ in range(repeats):
        for name, work in (("forward", forward), ("extraction", extraction)):
            times[name].append(clock := Clock())
            work(clock)
    wall = {name: statistics.median(clock.wall for clock in clocks) for name, clocks in times.items()}
    cpu = {name: statistics.median(clock.cpu for clock in clocks) for name, clocks in times.items()}
    return {
        "ratio_of_forward": wall["forward"] / wall["extraction"],
        "ratio_of_forward_cpu": cpu["forward"] / cpu["extraction"],
        "peak_mb": peak_mb() - before,
        "samples_per_s": samples / wall["extraction"],
        "rows_per_s": plan.rows / wall["extraction"],
        "tokens_a_sample": sum(padded) / samples,
        "forward_samples_per_s": samples / wall["forward"],
        "stored_bytes_per_value": stored_bytes[-1] / (plan.rows * loaded.d_model * loaded.n_layers),
        "sites": loaded.n_layers,
        "samples": samples,
        "rows": plan.rows,
        "repeats": repeats,
    }


def _wait(loaded: LoadedModel) -> None:
    if loaded.device.type == "cuda":
        torch.cuda.synchronize(loaded.device)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path)
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    parser.add_argument("--attention", default="eager", choices=("eager", "sdpa"))
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--shard-mb", type=float, default=8)
    parser.add_argument("--threads", type=int, help="of torch; default: as it chooses")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder:
        model = given.model or save_270m(Path(folder) / "model")
        found = measure(
            model,
            given.dataset or save_captions(Path(folder), given.samples),
            given.images,
            samples=given.samples,
            repeats=given.repeats,
            dtype=given.dtype,
            attention=given.attention,
            batch_tokens=given.batch_tokens,
            shard_mb=given.shard_mb,
        )
    if given.json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        for name, value in found.items():
            log.info("%s: %.4g", name, value)


if __name__ == "__main__":
    main()
