"""The stream: every selected token once an epoch, in a seeded order, whatever the position it is entered at."""

from itertools import islice

import numpy as np
import pytest
from sae_store import write_store

from crosslens.errors import InputError
from crosslens.sae.stream import TokenStream, select_sources
from crosslens.tables.arrays import from_bfloat16_bits, to_bfloat16_bits
from crosslens.tables.tokens import ROLES


def numbered(count: int, d: int = 4, first: int = 0) -> np.ndarray:
    """Rows that can be told apart: column 0 counts from `first`; norms are all about the same."""
    x = np.ones((count, d), dtype=np.float32) * 1000
    x[:, 0] = np.arange(first, first + count)
    return x


def select(inputs: dict, **changes):
    return select_sources(**{**inputs, "site": "4", "roles": ["caption"], "sink_factor": 10.0, **changes})


@pytest.fixture(scope="module")
def two_languages(tmp_path_factory):
    values = {"en": numbered(400), "ar": numbered(330, first=400)}
    return write_store(tmp_path_factory.mktemp("two_languages"), values, parts=3)


@pytest.fixture(scope="module")
def sources(two_languages):
    return select(two_languages)


def ids(batches, count: int) -> np.ndarray:
    return np.concatenate([batch[:, 0] for batch in islice(batches, count)]).astype(int)


@pytest.mark.parametrize("buffer", [64, 10_000])
def test_each_token_exactly_once_an_epoch(sources, buffer):
    stream = TokenStream(sources, seed=3, block_tokens=16, buffer_tokens=buffer)
    assert len(stream) == 730
    got = ids(stream.batches(10), 3 * 73).reshape(3, 730)
    for epoch in got:
        assert sorted(epoch) == list(range(730))
    assert not np.array_equal(got[0], got[1])


def test_a_batch_runs_into_the_next_epoch(sources):
    stream = TokenStream(sources, seed=3, block_tokens=16, buffer_tokens=64)
    got = ids(stream.batches(100), 73)
    for epoch in got.reshape(10, 730):
        assert sorted(epoch) == list(range(730))


@pytest.mark.parametrize("buffer", [64, 10_000])
def test_position_follows_from_seed_and_step(sources, buffer):
    def stream(seed=3):
        return TokenStream(sources, seed=seed, block_tokens=16, buffer_tokens=buffer)

    whole = ids(stream().batches(32), 60)
    for start in (1, 7, 22, 23, 41):
        np.testing.assert_array_equal(ids(stream().batches(32, start=start), 10), whole[start * 32 :][:320])
    assert not np.array_equal(ids(stream(seed=4).batches(32), 10), whole[:320])


def test_memory_is_bounded(tmp_path, monkeypatch):
    inputs = write_store(tmp_path, {"en": numbered(5000)})
    stream = TokenStream(select(inputs), seed=0, block_tokens=32, buffer_tokens=256)
    sizes, fill = [], stream._fill
    monkeypatch.setattr(stream, "_fill", lambda *plan: sizes.append(len(b := fill(*plan))) or b)
    assert len(ids(stream.batches(50), 100)) == 5000
    assert max(sizes) <= 256 and sum(sizes) >= 5000
    assert not stream._kept


def test_reads_one_buffer_ahead_and_no_further(tmp_path, monkeypatch):
    inputs = write_store(tmp_path, {"en": numbered(5000)})
    stream = TokenStream(select(inputs), seed=0, block_tokens=32, buffer_tokens=256)
    plans, fill = [], stream._fill
    monkeypatch.setattr(stream, "_fill", lambda *plan: plans.append(plan) or fill(*plan))
    next(stream.batches(10, start=100))
    # token 1000 lies in buffer 3, of which 768 tokens come before
    assert plans == [(0, 3, 1000 - 3 * 256), (0, 4, 0)]


def test_neighbours_part(tmp_path):
    inputs = write_store(tmp_path, {"en": numbered(8000)})
    stream = TokenStream(select(inputs), seed=0, block_tokens=64, buffer_tokens=1024)
    order = ids(stream.batches(100), 80)
    assert (np.abs(np.diff(order)) <= 1).mean() < 0.005
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.1
    # a batch draws on many blocks
    assert min(len(set(batch // 64)) for batch in order.reshape(80, 100)) >= 10


def test_languages_are_mixed(sources):
    stream = TokenStream(sources, seed=0, block_tokens=16, buffer_tokens=256)
    share = (ids(stream.batches(73), 10).reshape(10, 73) >= 400).mean(1)
    assert share.min() > 0.1 and share.max() < 0.9


def test_selection_by_split_role_and_norm(tmp_path):
    roles = np.array(
        [ROLES.index(role) for role in ("bos", "image", "image", "prompt", "caption", "caption")]
    )
    x = numbered(120)
    x[17] *= 50  # sample 2, a caption
    x[0] *= 1000  # a bos
    inputs = write_store(
        tmp_path, {"en": x}, per_sample=6, roles=roles, splits=("train", "test", "train", "select")
    )
    (source,) = select(inputs)
    expected = [r for r in range(120) if r // 6 % 2 == 0 and r % 6 in (4, 5) and r != 17]
    assert source.rows.tolist() == expected and source.sinks == 1
    (kept,) = select(inputs, sink_factor=None)
    assert sorted(expected + [17]) == kept.rows.tolist() and kept.sinks == 0
    (wider,) = select(inputs, roles=["prompt", "caption"])
    assert set(np.unique(wider.rows % 6)) == {3, 4, 5}
    stream = TokenStream([source], seed=0, block_tokens=7, buffer_tokens=14)
    assert sorted(ids(stream.batches(len(stream)), 1)) == [int(x[r, 0]) for r in expected]


def test_bfloat16_is_read_exactly(tmp_path):
    x = numbered(200)
    inputs = write_store(tmp_path, {"en": x}, dtype="bfloat16")
    stream = TokenStream(select(inputs), seed=0, block_tokens=16, buffer_tokens=64)
    got = next(stream.batches(200))
    assert got.dtype == np.float32
    np.testing.assert_array_equal(np.sort(got[:, 0]), from_bfloat16_bits(to_bfloat16_bits(x[:, 0])))


def test_what_does_not_belong_together_is_refused(two_languages, tmp_path):
    with pytest.raises(InputError, match="site 4.*expected site 6"):
        select(two_languages, site="6")
    with pytest.raises(InputError, match="no token to train on"):
        select(two_languages, roles=["generated"])
    swapped = {**two_languages["activations"], "en": two_languages["activations"]["ar"]}
    with pytest.raises(InputError, match="language ar"):
        select(two_languages, activations=swapped)
    fewer = {**two_languages["tokens"], "en": two_languages["tokens"]["en"][:2]}
    with pytest.raises(InputError, match="2 parts of tokens and 3 of activations"):
        select(two_languages, tokens=fewer)
    shuffled = {**two_languages["tokens"], "ar": two_languages["tokens"]["en"]}
    with pytest.raises(InputError, match="one for each row"):
        select(two_languages, tokens=shuffled)
    other = write_store(tmp_path / "other", {"en": numbered(100)})
    with pytest.raises(InputError, match="image10#0"):
        select(two_languages, datasets={**two_languages["datasets"], "en": other["datasets"]["en"]})
