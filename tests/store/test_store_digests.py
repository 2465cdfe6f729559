import hashlib
import os
import random
import subprocess
import time

import pytest
from damage import damaged
from hypothesis import given, settings
from hypothesis import strategies as st

from crosslens.store.digests import FileDigests, content_digest, digest


@pytest.fixture
def later(monkeypatch):
    """All files were changed a while ago: nobody can set the time of a change."""
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 60_000_000_000)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), VALUES, min_size=1, max_size=3))
def test_digest_does_not_depend_on_the_order_of_keys(value):
    assert digest(value) == digest(dict(reversed(value.items())))


@settings(deadline=None)
@given(VALUES, VALUES)
def test_different_values_have_different_digests(a, b):
    # 1, 1.0 and True are equal in Python and not the same setting
    assert (digest(a) == digest(b)) == _same(a, b)


def _same(a, b):
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[name], b[name]) for name in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return repr(a) == repr(b)


def test_nan_is_refused():
    with pytest.raises(ValueError):
        digest({"lr": float("nan")})


def test_a_files_digest_is_its_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert content_digest(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b/c", "b/d", "ب"]), st.binary(max_size=8), min_size=1))
def test_a_folders_digest_follows_names_and_bytes_only(tmp_path_factory, files):
    folders = [tmp_path_factory.mktemp("folder") for _ in range(2)]
    for folder, items in zip(folders, (list(files.items()), list(files.items())[::-1]), strict=True):
        for name, content in items:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
    os.utime(folders[0] / next(iter(files)), (1, 1))
    assert content_digest(folders[0]) == content_digest(folders[1])
    first = folders[0] / next(iter(files))
    first.write_bytes(first.read_bytes() + b"x")
    assert content_digest(folders[0]) != content_digest(folders[1])
    first.write_bytes(first.read_bytes()[:-1])
    first.rename(first.with_name("other"))
    assert content_digest(folders[0]) != content_digest(folders[1])


def test_file_digests_are_remembered_and_noticed_when_they_change(tmp_path, monkeypatch, later):
    file, cache = tmp_path / "weights", tmp_path / "cache" / "files.json"
    file.write_bytes(b"one")
    os.utime(file, (1, 1))
    digests = FileDigests(cache)
    first = digests(file)
    digests.save()
    monkeypatch.setattr("crosslens.store.digests.content_digest", lambda path: pytest.fail("read again"))
    assert FileDigests(cache)(file) == first
    monkeypatch.setattr("crosslens.store.digests.content_digest", content_digest)
    file.write_bytes(b"two")
    assert FileDigests(cache)(file) == hashlib.sha256(b"two").hexdigest()


def test_a_replacement_of_the_same_size_and_date_is_noticed(tmp_path, later):
    """`cp -p` and `rsync -a` leave both."""
    file, other = tmp_path / "weights", tmp_path / "other"
    file.write_bytes(b"one")
    other.write_bytes(b"two")
    for path in (file, other):
        os.utime(path, (1, 1))
    digests = FileDigests(tmp_path / "files.json")
    assert digests(file) == hashlib.sha256(b"one").hexdigest()
    inode = file.stat().st_ino
    subprocess.run(["cp", "-p", other, file], check=True)
    assert (file.stat().st_ino, file.stat().st_mtime, file.stat().st_size) == (inode, 1, 3)
    assert digests(file) == hashlib.sha256(b"two").hexdigest()


def test_a_second_edit_within_the_same_clock_tick_is_noticed(tmp_path):
    file, now = tmp_path / "captions.csv", time.time_ns()
    digests = FileDigests(tmp_path / "files.json")
    file.write_bytes(b"one")
    os.utime(file, ns=(now, now))
    first = digests(file)
    file.write_bytes(b"two")
    os.utime(file, ns=(now, now))
    assert digests(file) != first


def test_no_damaged_memory_gives_another_digest(tmp_path, later):
    """Of 400 such, 45 used to."""
    cache, chance, files = tmp_path / "files.json", random.Random(12), {}
    memory = FileDigests(cache)
    for i in range(20):
        file = tmp_path / f"file_{i}"
        file.write_bytes(b"%d" % i)
        os.utime(file, (1, 1))
        files[file] = memory(file)
    memory.save()
    whole = cache.read_bytes()
    for _ in range(1000):
        cache.write_bytes(damaged(whole, chance))
        again = FileDigests(cache)
        # what is only written differently (a blank more) may be used
        assert again.known in ({}, memory.known)
        assert all(again(file) == found for file, found in files.items())


def test_a_broken_or_unwritable_cache_costs_only_time(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    os.utime(file, (1, 1))
    (tmp_path / "files.json").write_text('{"half')
    assert FileDigests(tmp_path / "files.json")(file) == hashlib.sha256(b"abc").hexdigest()
    below_a_file = FileDigests(file / "files.json")
    below_a_file(file)
    below_a_file.save()
