"""A tiny model, a dataset with pictures, and extraction with one call."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
from tiny import SAMPLES, save_dataset, save_tiny_vlm

from crosslens.activations.extract import extract


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """Keyword arguments of `extract` but for its outputs."""
    folder = tmp_path_factory.mktemp("world")
    model = save_tiny_vlm(folder / "model")
    dataset, images = save_dataset(folder, "ar", SAMPLES)
    return {
        "dataset": dataset,
        "images": images,
        "rows": (1, SAMPLES),
        "model": {
            "id": str(model),
            "revision": None,
            "dtype": "float32",
            "device": "cpu",
            "attention": "eager",
        },
        "batch_tokens": 200,
        "shard_bytes": 8192,
        "language": "ar",
    }


@pytest.fixture
def outputs():
    """folder, site names → the outputs of one extraction, each in a folder of its own as the store gives them."""

    def make(folder: Path, sites=("1", "2.resid_pre", "3")):
        paths = {site: folder / site / "out.zarr" for site in sites}
        tokens = folder / "tokens" / "out.zarr"
        for path in [*paths.values(), tokens]:
            path.parent.mkdir(parents=True, exist_ok=True)
        return {"sites": paths, "tokens": tokens}

    return make


@pytest.fixture(scope="module")
def small_chunks():
    """Chunks of 32 rows, so that the tiny arrays have many shards."""
    import crosslens.tables.arrays as arrays

    patch = pytest.MonkeyPatch()
    patch.setattr(arrays, "CHUNK_BYTES", 32 * 32 * 2)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def whole(world, small_chunks, tmp_path_factory):
    """One undisturbed extraction: its folder and outputs."""
    folder = tmp_path_factory.mktemp("whole")
    paths = {site: folder / site / "out.zarr" for site in ("1", "2.resid_pre", "3")}
    tokens = folder / "tokens" / "out.zarr"
    for path in [*paths.values(), tokens]:
        path.parent.mkdir(parents=True)
    extract(**world, sites=paths, tokens=tokens)
    return {"sites": paths, "tokens": tokens}
