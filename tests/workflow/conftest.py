import pytest
from checkouts import Checkout


@pytest.fixture
def built(built_once, tmp_path):
    """A copy of it, to be changed."""
    return built_once.copy(tmp_path / "checkout")


@pytest.fixture
def answered(answered_once, tmp_path):
    """A copy of it, to be changed."""
    return answered_once.copy(tmp_path / "checkout")


@pytest.fixture
def fresh(source, tmp_path):
    """A checkout in which nothing was built."""
    return Checkout.create(tmp_path / "fresh", source)
