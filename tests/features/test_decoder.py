"""The nearest other decoder row, block by block, is that of all cosines at once."""

import numpy as np
import pytest
import torch

from crosslens.features import decoder
from crosslens.features.decoder import EDGES, decoder_cosine


def nearest(W: np.ndarray) -> np.ndarray:
    """(F) the largest cosine of each row of W (F, d) with another, from the whole matrix in double precision."""
    unit = W.astype(np.float64) / np.linalg.norm(W, axis=1, keepdims=True).clip(1e-12)
    cosines = (unit @ unit.T).clip(-1, 1)
    np.fill_diagonal(cosines, -1)
    return cosines.max(axis=1)


def rows(F: int, d: int, seed: int = 0) -> torch.Tensor:
    """Rows of different norms, two of them the same direction, one of zeros."""
    W = np.random.default_rng(seed).standard_normal((F, d)) * np.linspace(0.1, 9, F)[:, None]
    W[3], W[5] = 2 * W[4], 0
    return torch.from_numpy(W.astype(np.float32))


@pytest.mark.parametrize("block", [7, 100, 4096])
def test_it_is_the_dense_computation_whatever_the_blocks(monkeypatch, block):
    monkeypatch.setattr(decoder, "BLOCK", block)
    W = rows(100, 6)
    found, expected = decoder_cosine(W, seed=0), nearest(W.numpy())
    told = found["decoder"]
    assert found["compared"] == 100 and sum(told["counts"]) == 100
    assert told["median"] == pytest.approx(np.median(expected), abs=1e-6)
    assert told["alike_share"] == (expected > 0.9).mean() >= 0.02
    # rounding may move a cosine over an edge, so that the counts are those of nearly the same numbers
    assert np.abs(np.cumsum(told["counts"]) - np.cumsum(np.histogram(expected, EDGES)[0])).max() <= 1


def test_of_many_features_a_seeded_sample_is_compared_with_all(monkeypatch):
    monkeypatch.setattr(decoder, "COMPARED", 40)
    W, expected = rows(300, 8), nearest(rows(300, 8).numpy())
    told, again, other = (decoder_cosine(W, seed=seed) for seed in (1, 1, 2))
    assert told == again != other
    chosen = np.sort(np.random.default_rng(1).choice(300, 40, replace=False))
    assert told["compared"] == 40 == sum(told["decoder"]["counts"])
    assert told["decoder"]["median"] == pytest.approx(np.median(expected[chosen]), abs=1e-6)
    assert sum(told["random"]["counts"]) == 40


def test_random_directions_are_the_baseline(monkeypatch):
    W = torch.from_numpy(np.random.default_rng(9).standard_normal((500, 12)).astype(np.float32))
    told = decoder_cosine(W, seed=0)
    assert told["random"]["median"] == pytest.approx(told["decoder"]["median"], abs=0.02)
    monkeypatch.setattr(decoder, "BLOCK", 64)
    monkeypatch.setattr(decoder, "COMPARED", 64)
    drawn = np.concatenate(
        [decoder._random_rows(0, i, min(i + 64, 500), 12).numpy() for i in range(0, 500, 64)]
    )
    expected = np.median(nearest(drawn)[:64])
    assert decoder_cosine(W, seed=0)["random"]["median"] == pytest.approx(expected, abs=1e-6)


def test_a_lone_feature_has_no_other():
    told = decoder_cosine(torch.ones(1, 4), seed=0)
    assert told["decoder"] == told["random"]
    assert told["decoder"]["median"] is None and sum(told["decoder"]["counts"]) == 0


def test_memory_is_bounded_by_the_blocks(monkeypatch):
    """No tensor that is made on the way is as large as the decoder."""
    largest = 0

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            result = function(*args, **(kwargs or {}))
            # slices are views of the decoder, and cost nothing
            if isinstance(result, torch.Tensor) and result._base is None:
                largest = max(largest, result.numel())
            return result

    monkeypatch.setattr(decoder, "BLOCK", 50)
    monkeypatch.setattr(decoder, "COMPARED", 50)
    W = rows(1000, 16)
    with Watch():
        decoder_cosine(W, seed=0)
    assert 0 < largest <= 50 * 50
