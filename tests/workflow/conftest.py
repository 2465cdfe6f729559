import pytest
from checkouts import Checkout, with_answers


@pytest.fixture
def built(built_once, tmp_path):
    """A copy of it, to be changed."""
    return built_once.copy(tmp_path / "checkout")


@pytest.fixture(scope="session")
def answered_once(built_once):
    """The same and the generation study `answers`. Never written by a test."""
    return with_answers(built_once)


@pytest.fixture
def answered(answered_once, tmp_path):
    """A copy of it, to be changed."""
    return answered_once.copy(tmp_path / "checkout")


@pytest.fixture
def fresh(source, tmp_path):
    """A checkout in which nothing was built."""
    return Checkout.create(tmp_path / "fresh", source)
