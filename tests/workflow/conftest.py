import pytest
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


@pytest.fixture
def built(built_once, tmp_path):
    """A copy of it, to be changed."""
    return built_once.copy(tmp_path / "checkout")


@pytest.fixture
def fresh(source, tmp_path):
    """A checkout in which nothing was built."""
    return Checkout.create(tmp_path / "fresh", source)
