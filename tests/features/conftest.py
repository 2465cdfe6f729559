import pytest
from feature_world import make_codes, make_world
from world import Corpus


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Corpus:
    return make_world(tmp_path_factory.mktemp("world"), n=64, d=12, parts=2, seed=0)


@pytest.fixture(scope="session")
def coded(world, tmp_path_factory):
    return make_codes(world, tmp_path_factory.mktemp("codes") / "layer_4.zarr", d_sae=24, k=5, seed=3)
