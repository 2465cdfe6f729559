"""The one study that is built in a test session, for all that read what the workflow makes."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "workflow"))

from checkouts import MINI_SAE, Checkout


@pytest.fixture(scope="session")
def built_once(tmp_path_factory) -> Checkout:
    """A checkout in which both studies were built: toy in full, mini to its SAE. Never written by a test."""
    checkout = Checkout.create(tmp_path_factory.mktemp("built") / "checkout")
    checkout.snakemake("all", MINI_SAE)
    return checkout
