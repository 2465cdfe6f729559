import pytest
import torch

from crosslens.devices import choose_device, choose_training_device
from crosslens.errors import InputError


@pytest.fixture
def only(monkeypatch):
    """Makes of the devices those that are named the ones that are there."""

    def are_there(*names):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in names)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in names)

    return are_there


@pytest.mark.parametrize("there, first", [(["cuda", "mps"], "cuda"), (["mps"], "mps"), ([], "cpu")])
def test_auto_takes_the_first_device_that_is_there(only, there, first):
    only(*there)
    assert choose_device("auto").type == first


def test_a_device_that_is_not_there_is_refused(only):
    only("mps")
    for name in ("tpu", "cuda"):
        with pytest.raises(InputError, match="auto or one that is here: mps, cpu"):
            choose_device(name)


def test_saes_are_trained_where_models_run_but_not_on_mps(only):
    only("cuda", "mps")
    assert [choose_training_device(name).type for name in ("auto", "cuda", "mps", "cpu")] == [
        "cuda",
        "cuda",
        "cpu",
        "cpu",
    ]
    only("mps")
    assert choose_training_device("auto").type == "cpu"
