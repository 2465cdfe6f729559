import pytest
from checkouts import MINI_SAE, Checkout


@pytest.fixture(scope="session")
def built_once(tmp_path_factory):
    """A checkout in which both studies were built: toy in full, mini to its SAE. Never written by a test."""
    checkout = Checkout.create(tmp_path_factory.mktemp("built") / "checkout")
    checkout.snakemake("all", MINI_SAE)
    return checkout


@pytest.fixture
def built(built_once, tmp_path):
    """A copy of it, to be changed."""
    return built_once.copy(tmp_path / "checkout")


@pytest.fixture
def fresh(tmp_path):
    """A checkout in which nothing was built."""
    return Checkout.create(tmp_path / "fresh")
