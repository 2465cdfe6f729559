"""Extraction of all blocks against the bare forward pass of the same model and the same batches.

`python tests/benchmarks/extraction.py [--model FOLDER --dataset PARQUET --images FOLDER --samples N] [--json]`: without
a model a tiny random one is made. `peak_mb` is what extraction adds to the memory of the loaded model and its inputs.
"""

import argparse
import json
import logging
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

from crosslens.activations.extract import STORED_ROLES, extract, read_samples
from crosslens.activations.plan import make_plan
from crosslens.models.inputs import collate, encode, load_images
from crosslens.models.load import load_model

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
from tiny import save_dataset, save_tiny_vlm

BATCH_TOKENS = 4096
log = logging.getLogger(__name__)


def peak_mb() -> float:
    """Largest resident memory of this process so far, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def measure(model: Path, dataset: Path, images: Path | None, samples: int, repeats: int) -> dict[str, float]:
    """Seconds of both, the median of `repeats`, their ratio, and what extraction adds to the peak memory."""
    settings = {"id": str(model), "dtype": "float32", "device": "auto", "attention": "eager"}
    loaded = load_model(settings["id"], device="auto")
    rows = read_samples(dataset, (1, samples))
    plan = make_plan(loaded, rows, roles=STORED_ROLES, batch_tokens=BATCH_TOKENS)

    def forward() -> None:
        for batch in plan.batches:
            chosen = [rows[i] for i in batch.samples]
            encoded = encode(loaded, chosen, with_caption=True)
            inputs = collate(loaded, encoded, load_images(loaded, chosen, images)).inputs
            with torch.inference_mode():
                loaded.model(**inputs, use_cache=False, logits_to_keep=1)

    def extraction() -> None:
        with tempfile.TemporaryDirectory() as folder:
            sites = {str(layer): Path(folder) / f"{layer}.zarr" for layer in range(loaded.n_layers)}
            extract(
                dataset=dataset,
                images=images,
                rows=(1, samples),
                model=settings,
                sites=sites,
                tokens=Path(folder) / "tokens.zarr",
                batch_tokens=BATCH_TOKENS,
                shard_bytes=32 << 20,
                language="",
            )

    forward()
    before = peak_mb()
    times: dict[str, list[float]] = {"forward": [], "extraction": []}
    for _ in range(repeats):
        for name, work in (("forward", forward), ("extraction", extraction)):
            start = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - start)
    seconds = {name: statistics.median(found) for name, found in times.items()}
    return {
        "ratio_of_forward": seconds["extraction"] / seconds["forward"],
        "peak_mb": peak_mb() - before,
        "samples_per_s": samples / seconds["extraction"],
        "forward_samples_per_s": samples / seconds["forward"],
        "tokens_per_s": plan.rows / seconds["extraction"],
        "sites": loaded.n_layers,
        "samples": samples,
        "repeats": repeats,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model, dataset, images = given.model, given.dataset, given.images
        if model is None:
            model = save_tiny_vlm(Path(folder) / "model")
        if dataset is None:
            dataset, images = save_dataset(Path(folder), "en", given.samples)
        found = measure(model, dataset, images, given.samples, given.repeats)
    if given.json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        for name, value in found.items():
            log.info("%s: %.4g", name, value)


if __name__ == "__main__":
    main()
