import pytest
from labelled_world import PROMOTED, SAE, write_gender, write_statistics, write_world
from world import write_promoted

from crosslens.descriptions.examples import choose_examples
from crosslens.descriptions.ngrams import label_by_ngrams


@pytest.fixture(scope="session")
def labelled(tmp_path_factory):
    """The folder with `described.json` and `ngrams.json` of the planted world, and the arguments of choose_examples."""
    folder = tmp_path_factory.mktemp("labelled")
    world = write_world(folder)
    read = {"datasets": world.datasets, "tokens": world.tokens, "codes": world.codes}
    more = {"statistics": write_statistics(folder, world), "gender": {}, "corpus": "joint"}
    more["promoted"] = write_promoted(folder / "promoted", PROMOTED, sae=SAE)
    more |= {"features": 9, "examples": 3, "held_out": 20, "seed": 0}
    choose_examples(**read, **more, out=folder / "described.json")
    label_by_ngrams(described=folder / "described.json", **read, out=folder / "ngrams.json")
    return folder, {**read, **more}


@pytest.fixture
def gender():
    return write_gender
