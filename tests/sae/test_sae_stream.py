"""The stream: every selected token once an epoch, in a seeded order, whatever the position it is entered at."""

import time
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sae_store import write_store

from crosslens.errors import InputError
from crosslens.sae.stream import Mixture, Reader, Source, TokenStream, Window, select_source
from crosslens.tables.activations import Activations, Beside, unpack
from crosslens.tables.tokens import ROLES

D = 4
MIB_A_TOKEN = D * 4 / 2**20
"""Of float32 activations."""


def numbered(count: int, first: int = 0) -> np.ndarray:
    """Rows that can be told apart: column 0 counts from `first`; norms are all about the same."""
    x = np.ones((count, D), dtype=np.float32) * 1000
    x[:, 0] = np.arange(first, first + count)
    return x


def select(inputs: dict, language: str = "en", **changes) -> Source:
    given = {name: inputs[name][language] for name in ("tokens", "activations")} | changes
    given["activations"] = Activations(given["activations"])
    given.setdefault("dataset", inputs["datasets"][language])
    return select_source(**{"language": language, "roles": ["caption"], "sink_factor": 10.0, **given})


def stream_of(source: Source, *, block: int = 16, buffer: int = 64, seed: int = 3) -> TokenStream:
    """A stream whose buffers hold `buffer` tokens."""
    return TokenStream(source, seed=seed, block_tokens=block, buffer_mb=2 * buffer * MIB_A_TOKEN)


def ids(stored: np.ndarray) -> np.ndarray:
    return stored[:, 0].astype(int)


@pytest.fixture(scope="module")
def two_languages(tmp_path_factory):
    values = {"en": numbered(400), "ar": numbered(330, first=400)}
    return write_store(tmp_path_factory.mktemp("two_languages"), values, parts=3)


@pytest.fixture(scope="module")
def source(two_languages):
    return select(two_languages)


@pytest.fixture(scope="module")
def long_source(tmp_path_factory):
    return select(write_store(tmp_path_factory.mktemp("long"), {"en": numbered(5000)}))


@pytest.mark.parametrize("buffer", [64, 10_000])
def test_each_token_exactly_once_an_epoch(source, buffer):
    stream = stream_of(source, buffer=buffer)
    assert len(stream) == 400
    window = Window(stream)
    got = ids(window.take(0, 1200)).reshape(3, 400)
    for epoch in got:
        assert sorted(epoch) == list(range(400))
    assert not np.array_equal(got[0], got[1])


@pytest.mark.parametrize("buffer", [64, 10_000])
def test_what_comes_at_a_position_follows_from_the_seed(source, buffer):
    whole = ids(Window(stream_of(source, buffer=buffer)).take(0, 2000))
    for start in (1, 63, 64, 399, 400, 1234):
        got = ids(Window(stream_of(source, buffer=buffer), start).take(start, 500))
        np.testing.assert_array_equal(got, whole[start : start + 500])
    assert not np.array_equal(ids(Window(stream_of(source, buffer=buffer, seed=4)).take(0, 300)), whole[:300])


def test_neighbours_part(tmp_path):
    stream = stream_of(select(write_store(tmp_path, {"en": numbered(8000)})), block=64, buffer=1024)
    order = ids(Window(stream).take(0, 8000))
    assert (np.abs(np.diff(order)) <= 1).mean() < 0.005
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.1
    # a batch draws on many blocks
    assert min(len(set(batch // 64)) for batch in order.reshape(80, 100)) >= 10


def test_neighbour_correlation_tells_what_the_shuffle_undoes(tmp_path):
    drift = np.cumsum(np.random.default_rng(0).standard_normal((4000, D)), axis=0).astype(np.float32)
    stream = stream_of(select(write_store(tmp_path, {"en": drift}), sink_factor=None), buffer=4000)
    found = stream.neighbour_correlation
    assert found["stored"] > 0.9 and abs(found["shuffled"]) < 0.1


# Window


def test_a_window_keeps_two_buffers_at_most_and_reads_each_once(long_source, monkeypatch):
    stream = stream_of(long_source, block=32, buffer=256)
    fill, plans, alive, most = stream.fill, [], [], 0

    def counted(*plan):
        nonlocal most
        plans.append(plan)
        # the one that is made counts too
        most = max(most, 1 + sum(buffer() is not None for buffer in alive))
        buffer = fill(*plan)
        assert len(buffer) <= 256
        alive.append(weakref.ref(buffer))
        return buffer

    monkeypatch.setattr(stream, "fill", counted)
    window = Window(stream)
    for start in range(0, 5000, 50):
        window.take(start, 50)
        window.drop(start + 50)
        most = max(most, sum(buffer() is not None for buffer in alive))
    window.close()
    assert most == 2 and not stream._kept
    assert plans[:20] == [(0, number, 0) for number in range(20)] and len(plans) <= 22


def test_a_window_reads_one_buffer_ahead_and_no_further(long_source, monkeypatch):
    stream = stream_of(long_source, block=32, buffer=256)
    plans, fill = [], stream.fill
    monkeypatch.setattr(stream, "fill", lambda *plan: plans.append(plan) or fill(*plan))
    window = Window(stream, 1000)
    window.take(1000, 10)
    for _ in range(20):
        window.drop(1010)
        time.sleep(0.01)
    window.close()
    # token 1000 lies in buffer 3, of which 768 tokens come before
    assert plans == [(0, 3, 1000 - 3 * 256), (0, 4, 0)]


def test_what_is_in_a_window_can_be_taken_again_until_it_is_dropped(long_source):
    window = Window(stream_of(long_source, block=32, buffer=256))
    first = window.take(0, 600)
    np.testing.assert_array_equal(window.take(100, 300), first[100:400])
    window.drop(300)  # within the second buffer, which stays
    np.testing.assert_array_equal(window.take(256, 100), first[256:356])
    with pytest.raises(IndexError, match="token 255 of the stream was dropped; the window begins at 256"):
        window.take(255, 1)
    window.drop(512)  # all of it
    with pytest.raises(IndexError, match="the window begins at 512"):
        window.take(511, 1)


def test_a_buffer_that_holds_all_is_read_from_disk_once(source, monkeypatch):
    reads, read_stored = [], source.activations.read_stored
    monkeypatch.setattr(
        source.activations,
        "read_stored",
        lambda start, stop: reads.extend(range(start, stop)) or read_stored(start, stop),
    )
    Window(stream_of(source, buffer=10_000)).take(0, 2000)
    assert sorted(reads) == list(range(400))


# Mixture

sizes = st.lists(st.integers(1, 500), min_size=1, max_size=4)


def mixture_of(sizes: list[int]) -> Mixture:
    return Mixture({f"language{i}": range(size) for i, size in enumerate(sizes)})


@settings(deadline=None)
@given(sizes)
def test_a_mixture_takes_each_token_of_each_language_once_an_epoch_in_steady_proportions(sizes):
    mixture, total = mixture_of(sizes), sum(sizes)
    before = dict.fromkeys(mixture.sizes, 0)
    for position in range(2 * total + 1):
        counts = mixture.before(position)
        assert sum(counts.values()) == position
        for language, size in mixture.sizes.items():
            assert abs(counts[language] - position * size / total) < len(sizes)
            # one token further, of one language
            assert 0 <= counts[language] - before[language] <= 1
            if position % total == 0:
                assert counts[language] == position // total * size
        before = counts


@settings(deadline=None, max_examples=50)
@given(sizes, st.integers(0, 10**13))
def test_a_mixture_stays_exact_however_far_it_goes(sizes, epoch):
    mixture = mixture_of(sizes)
    assert mixture.before(epoch * sum(sizes)) == {f"language{i}": epoch * n for i, n in enumerate(sizes)}


def test_a_reader_gives_each_token_of_both_languages_once_an_epoch(two_languages):
    streams = {language: stream_of(select(two_languages, language)) for language in ("en", "ar")}
    mixture = Mixture(streams)
    reader = Reader(streams, mixture.before(0))
    got = []
    for start in range(0, 7300, 100):
        got.append(ids(reader.tokens(mixture, start, start + 100)))
        reader.drop(mixture.before(start + 100))
        assert len(got[-1]) == 100 and 44 <= (got[-1] >= 400).sum() <= 46
    reader.close()
    order = np.concatenate(got)
    for epoch in order[order < 400].reshape(10, 400):
        assert sorted(epoch) == list(range(400))
    for epoch in order[order >= 400].reshape(10, 330):
        assert sorted(epoch) == list(range(400, 730))
    # entered in the middle, by the place alone
    again = Reader(streams, mixture.before(3300))
    np.testing.assert_array_equal(ids(again.tokens(mixture, 3300, 3400)), got[33])
    again.close()


# what is selected, and how it is read


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
    source = select(inputs)
    expected = [r for r in range(120) if r // 6 % 2 == 0 and r % 6 in (4, 5) and r != 17]
    assert source.rows.tolist() == expected and source.sinks == 1
    kept = select(inputs, sink_factor=None)
    assert sorted(expected + [17]) == kept.rows.tolist() and kept.sinks == 0
    wider = select(inputs, roles=["prompt", "caption"])
    assert set(np.unique(wider.rows % 6)) == {3, 4, 5}
    stream = stream_of(source, block=7, buffer=14)
    assert sorted(ids(Window(stream).take(0, len(stream)))) == [int(x[r, 0]) for r in expected]


def test_a_sink_is_one_by_the_norms_of_its_own_language(tmp_path):
    """A language whose norms are a tenth of the other's has its sinks found, and the other loses no token to it."""
    english, arabic = np.full((100, D), 10.0, np.float32), np.full((300, D), 1.0, np.float32)
    arabic[7] = 15.0  # a sink there, and an ordinary norm beside English ones
    inputs = write_store(tmp_path, {"en": english, "ar": arabic})
    assert select(inputs, "en", sink_factor=5.0).sinks == 0
    arabic = select(inputs, "ar", sink_factor=5.0)
    assert arabic.sinks == 1 and 7 not in arabic.rows


def test_bfloat16_comes_as_it_is_stored(tmp_path):
    x = np.random.default_rng(0).standard_normal((200, D)).astype(np.float32)
    source = select(write_store(tmp_path, {"en": x}, dtype="bfloat16"))
    stream = stream_of(source, block=16, buffer=64)
    got = Window(stream).take(0, 200)
    assert got.dtype == np.uint16
    stored = source.activations.read(0, 200)
    np.testing.assert_array_equal(np.sort(unpack(got), axis=0), np.sort(stored, axis=0))


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_stored_rows_are_those_of_the_parts_one_after_the_other(two_languages, data):
    start = data.draw(st.integers(0, 400))
    stop = data.draw(st.integers(start, 400))
    activations = Activations(two_languages["activations"]["en"])
    np.testing.assert_array_equal(activations.read_stored(start, stop), numbered(400)[start:stop])


def test_two_sites_are_read_side_by_side(tmp_path):
    reads = np.random.default_rng(0).standard_normal((60, 4)).astype(np.float32)
    writes = np.random.default_rng(1).standard_normal((60, 6)).astype(np.float32)
    paths = [
        write_store(tmp_path / site, {"en": x}, site=site)["activations"]["en"]
        for site, x in (("4", reads), ("4.mlp_out", writes))
    ]
    both = Beside(*map(Activations, paths))
    assert len(both) == 60 and both.d_model == 10
    np.testing.assert_array_equal(both.read_stored(20, 50), np.hstack([reads, writes])[20:50])
    np.testing.assert_allclose(both.norms(), np.linalg.norm(reads, axis=1), rtol=1e-6)


def test_what_does_not_belong_together_is_refused(two_languages, tmp_path):
    with pytest.raises(InputError, match="no token to train on"):
        select(two_languages, roles=["generated"])
    with pytest.raises(InputError, match="2 parts of tokens and 3 of activations"):
        select(two_languages, tokens=two_languages["tokens"]["en"][:2])
    with pytest.raises(InputError, match="one for each row"):
        select(two_languages, "ar", tokens=two_languages["tokens"]["en"])
    other = write_store(tmp_path, {"en": numbered(100)})
    with pytest.raises(InputError, match="image10#0"):
        select(two_languages, dataset=other["datasets"]["en"])


def test_two_sites_of_different_parts_or_types_are_refused(two_languages, tmp_path):
    english = Activations(two_languages["activations"]["en"])
    fewer = Activations(two_languages["activations"]["en"][:2])
    with pytest.raises(InputError, match="270 rows of float32 in 2 parts.*expected 400 rows.*in 3 parts"):
        Beside(english, fewer)
    other = write_store(tmp_path, {"en": numbered(400)}, parts=3, dtype="bfloat16")["activations"]["en"]
    with pytest.raises(InputError, match="bfloat16.*float32"):
        Beside(english, Activations(other))
