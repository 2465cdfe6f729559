"""Disks that are full and stores that cannot be written end in a message that names the store and the mend."""

import errno
import os
import subprocess

import pytest
import torch

from crosslens.errors import InputError
from crosslens.store.job import build
from crosslens.store.store import Store, writable
from crosslens.tables.tensors import save_tensors


def write(out):
    for path in out.values():
        path.write_bytes(b"x" * 3_000_000)


@pytest.mark.parametrize("place", ["below a file", "nowhere"])
def test_an_unwritable_store(bench, tmp_path, place):
    (tmp_path / "file").write_text("")
    root = tmp_path / "file" / "store" if place == "below a file" else "/proc/nowhere/store"
    bench.store = Store(str(root))
    with pytest.raises(InputError, match="the store cannot be written") as told:
        build(bench.job("a"), write)
    assert str(root) in str(told.value) and "CROSSLENS_STORE" in told.value.mend


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_store(bench):
    bench.store.own.mkdir(parents=True, mode=0o555)
    with pytest.raises(InputError, match="the store cannot be written"):
        build(bench.job("a"), write)


def test_a_picture_that_cannot_be_read_is_not_the_stores_fault(tmp_path):
    with pytest.raises(FileNotFoundError), writable(tmp_path / "store"):
        (tmp_path / "picture.png").read_bytes()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_no_space_while_writing(bench, code):
    def full(out):
        out["a"].write_text("half")
        raise OSError(code, "No space left on device")

    with pytest.raises(InputError, match="no space left") as told:
        build(bench.job("a"), full)
    assert str(bench.store.own) in str(told.value) and "gc --dry-run" in told.value.mend
    assert not bench.store.has("k-a")
    build(bench.job("a"), write)
    assert bench.store.has("k-a")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"cannot mount a small disk: {error}")
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_under_safetensors(bench, small_disk):
    """Which tells it as an error of its own."""
    bench.store = Store(str(small_disk / "store"))
    tensors = {"W_enc": torch.zeros(1000, 1000)}
    with pytest.raises(InputError, match="no space left"):
        build(bench.job("a"), lambda out: save_tensors(tensors, out["a"]))


def test_a_full_disk(bench, small_disk):
    bench.store = Store(str(small_disk / "store"))
    with pytest.raises(InputError, match="no space left") as told:
        build(bench.job("a"), write)
    assert str(small_disk / "store") in str(told.value)
    assert not bench.store.has("k-a")
    build(bench.job("a"), lambda out: out["a"].write_text("small"))
    assert bench.store.object("k-a").read_text() == "small"
