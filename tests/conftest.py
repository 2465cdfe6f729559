"""The one study that is built in a test session, for all that read what the workflow makes."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "workflow"))

from checkouts import MINI_SAE, Checkout, snapshot


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    """The files of the repository as they are now: all checkouts of a session are of the same state."""
    return snapshot(tmp_path_factory.mktemp("snapshot"))


@pytest.fixture(scope="session")
def built_once(source, tmp_path_factory):
    """A checkout in which both studies were built: toy in full, mini to its SAE. Never written by a test."""
    checkout = Checkout.create(tmp_path_factory.mktemp("built") / "checkout", source)
    checkout.snakemake("all", MINI_SAE)
    return checkout
