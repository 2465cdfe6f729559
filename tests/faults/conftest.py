"""A tiny study, whose jobs are killed, starved and lied to; `wide` asks for more, and `steered` for what takes minutes."""

import pytest
import torch
from checkouts import TOY
from jobs import World, at_root

from crosslens.store.job import Job

STUDY = {
    **TOY,
    "source": {"planted": {"images": 30, "seed": 7}},
    "activations": {**TOY["activations"], "batch_tokens": 512},
    "sae": {**TOY["sae"], "epochs": 4, "checkpoint_tokens": 512},
    "causal": {},
}
WIDE = STUDY | {
    "embeddings": {"methods": ["pca"], "permutations": 10},
    "geometry": {"permutations": 19},
    "describe": {"features": 1, "examples": 1},
    "lenses": {"samples": 8, "epochs": 1},
    "attention": {"samples": 8},
    "sweep": {"k": [4]},
    "tokens": {"select": {"positions": [0]}, "texts": [{"language": "en", "text": "A woman reads."}]},
}
STEERED = STUDY | {
    "steering": {"strengths": [1], "random_sets": 20, "samples": 2, "captions": 1, "max_new_tokens": 4}
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Jobs are forks of this process, which has torch loaded and one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with at_root(_log_to_stderr):
        yield World(tmp_path_factory.mktemp("world"), {"tiny": STUDY, "wide": WIDE, "steered": STEERED})
    torch.set_num_threads(threads)


_log_to = Job._log_to


def _log_to_stderr(file):
    _log_to(None)
