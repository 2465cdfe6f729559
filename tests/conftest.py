"""What all tests share: the one study that is built in a session, and which tests are chosen."""

import fcntl
import gc
import os
import sys
from pathlib import Path

import pytest

# Workers side by side: two threads each on two cores would be slower, and sums depend on how many share them.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# A session's jobs are forks of one process (fixture `source`), not each run's of one of its own.
os.environ["CROSSLENS_WARM"] = "0"

sys.path.insert(0, str(Path(__file__).parent / "workflow"))

from checkouts import ANSWERS, ANSWERS_PAGE, MINI_SAE, Checkout, snapshot

from crosslens.warm.start import ANALYSIS, TORCH, serving

STARTS_SNAKEMAKE = {"made_once", "project"}
"""Fixtures whose tests do, beside those of tests/workflow."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Mark what starts Snakemake as `workflow`; leave `long` and `fuzz` tests out unless -m names them."""
    for item in items:
        if item.path.parent.name == "workflow" or STARTS_SNAKEMAKE & set(item.fixturenames):
            item.add_marker("workflow")
    for mark in ("long", "fuzz"):
        if mark not in config.option.markexpr:
            config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker(mark)])
            items[:] = [item for item in items if not item.get_closest_marker(mark)]


def pytest_collection_finish():
    """What is imported by now stays: garbage need not be looked for in it again and again."""
    gc.collect()
    gc.freeze()


def pytest_xdist_auto_num_workers():
    """Each holds torch, and starts Snakemake with two cores."""
    return min(os.cpu_count(), 4)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """name, make → a folder that the first worker that asks makes; the others wait for it. Never written by a test."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def once(name, make):
        folder = root / "shared" / name
        folder.parent.mkdir(exist_ok=True)
        with (folder.parent / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            made = folder.with_suffix(".made")
            if not made.exists():
                make(folder)
                made.touch()
        return folder

    return once


@pytest.fixture(scope="session")
def source(made_once):
    """The files of the repository as they are now: all checkouts of a session are of the same state.

    Their jobs, and Snakemake where it is waited for, are forks of one process.
    """
    with pytest.MonkeyPatch.context() as patch:
        # A checkout's modules are compiled once, and not by every job.
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        with serving(["snakemake.cli", *TORCH, *ANALYSIS]) as Checkout.python:
            patch.undo()
            yield made_once("snapshot", snapshot) / "source"


@pytest.fixture(scope="session")
def built_once(source, made_once):
    """A checkout in which both studies were built: toy in full, mini to its SAE. Never written by a test."""

    def build(folder):
        Checkout.create(folder, source).snakemake("all", MINI_SAE)

    return Checkout(made_once("built", build))


@pytest.fixture(scope="session")
def answered_once(built_once, made_once):
    """The same, and the generation study `answers`. Never written by a test."""

    def build(folder):
        checkout = built_once.copy(folder)
        checkout.configure("answers", ANSWERS)
        checkout.snakemake(ANSWERS_PAGE)

    return Checkout(made_once("answered", build))
