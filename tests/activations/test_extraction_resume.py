"""A killed or damaged extraction goes on where it was and ends with the same bytes."""

import json
import multiprocessing
import os
import shutil
import signal
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from tiny import digests

from crosslens.activations import extract as stage
from crosslens.activations.extract import extract
from crosslens.activations.writer import SiteWriter
from crosslens.tables import arrays
from crosslens.tables.arrays import create_group, create_rows
from crosslens.tables.shards import ShardWriter

PROCESSES = multiprocessing.get_context("fork")


def dying(point, after, given):
    """An extraction that kills itself at the call after so many of one of its functions."""
    calls = 0

    def die_in_time():
        nonlocal calls
        calls += 1
        if calls > after:
            os.kill(os.getpid(), signal.SIGKILL)

    def dies(module, name):
        function = getattr(module, name)
        setattr(module, name, lambda *args, **options: (die_in_time(), function(*args, **options))[1])

    def torn(shard):
        if calls >= after:
            # as a file system may leave it: the name is there, the data are not
            shard._file.flush()
            shard.path.write_bytes(shard.unfinished.read_bytes()[:100])
        die_in_time()
        return finish(shard)

    if point == "forward":
        dies(stage, "forward")
    elif point == "shard":
        finish, ShardWriter.finish = ShardWriter.finish, torn
    elif point == "chunk":
        dies(ShardWriter, "_encode")
    extract(**given)


@pytest.fixture(scope="module")
def one_thread():
    """The bits depend on the number of threads, so parent and child must agree."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def expected(one_thread, world, small_chunks, tmp_path_factory):
    """Digests of an undisturbed extraction, by site, and of its token table."""
    folder = tmp_path_factory.mktemp("expected")
    paths = {site: folder / site / "out.zarr" for site in ("1", "2.resid_pre", "3")}
    tokens = folder / "tokens" / "out.zarr"
    for path in [*paths.values(), tokens]:
        path.parent.mkdir(parents=True)
    extract(**world, sites=paths, tokens=tokens)
    found = {name: digests(path) for name, path in [*paths.items(), ("tokens", tokens)]}
    assert sum("values/c/" in name for name in found["1"]) > 3
    return found


def assert_same(out, expected):
    for name, path in [*out["sites"].items(), ("tokens", out["tokens"])]:
        assert digests(path) == expected[name], name


def killed(world, out, point, after):
    """The status of an extraction in a process of its own, which kills itself at the given point."""
    process = PROCESSES.Process(target=dying, args=(point, after, {**world, **out}))
    process.start()
    process.join(120)
    return process.exitcode


@pytest.mark.parametrize("point, after", [("shard", 8), ("chunk", 20)])
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(
    world, outputs, tmp_path, small_chunks, expected, monkeypatch, point, after
):
    out = outputs(tmp_path)
    assert killed(world, out, point, after) == -signal.SIGKILL
    batches = []
    forward = stage.forward
    monkeypatch.setattr(stage, "forward", lambda *args: (batches.append(args[2]), forward(*args))[1])
    extract(**world, **out)
    assert_same(out, expected)
    total = len(expected_batches(world))
    assert 0 < len(batches) < total


def expected_batches(world):
    from crosslens.activations.plan import make_plan
    from crosslens.models.load import load_model

    loaded = load_model(**world["model"])
    samples = stage.read_samples(world["dataset"], world["rows"])
    return make_plan(loaded, samples, roles=stage.STORED_ROLES, batch_tokens=world["batch_tokens"]).batches


class Killed(BaseException):
    """Stands for a kill inside this process, for many points in little time."""


@pytest.mark.parametrize("after", [*(pytest.param(n, marks=pytest.mark.long) for n in (1, 5)), 13])
@pytest.mark.parametrize("point", ["replace_durably", "sync", "checksum"])
def test_any_point_of_the_writer_may_be_the_last(
    world, outputs, tmp_path, small_chunks, expected, monkeypatch, point, after
):
    out = outputs(tmp_path)
    calls = 0
    import crosslens.activations.writer as writer

    function = getattr(writer, point)

    def dying(*args, **options):
        nonlocal calls
        calls += 1
        if calls > after:
            raise Killed
        return function(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(writer, point, dying)
        try:
            extract(**world, **out)
        except Killed:
            pass
        else:
            assert calls <= after
    extract(**world, **out)
    assert_same(out, expected)


def stop_after(monkeypatch, world, out, appended):
    """Stop an extraction when `appended` batches have been handed to the disk."""
    append, calls = SiteWriter.append, 0

    def counting(self, *args):
        nonlocal calls
        calls += 1
        if calls > appended:
            raise Killed
        append(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(SiteWriter, "append", counting)
        with pytest.raises(Killed):
            extract(**world, **out)


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def damage(path: Path, how: str) -> None:
    """Of what an extraction has left of one site: of a shard, of what it knows of its progress, or of the group."""
    shard, index = path / "values" / "c" / "1" / "0", path.with_name(path.name + ".progress.json")
    data, norms = shard.read_bytes(), path.with_name(path.name + ".norms")
    assert len(json.loads(index.read_text())["value"]["shards"]) >= 2
    if how == "truncate":
        shard.write_bytes(data[: len(data) // 2])
    elif how == "remove":
        shard.unlink()
    elif how == "flip":
        shard.write_bytes(data[:40] + bytes([data[40] ^ 1]) + data[41:])
    elif how == "norms":
        os.truncate(norms, 40)
    elif how == "no norms":
        norms.unlink()
    elif how == "frame":
        edit(path / "zarr.json", '"language": "ar"', '"language": "AR"')
    elif how == "entry":
        edit(index, '"norms": ', '"norms": 1')
    elif how == "bytes":
        index.write_bytes(b"\xff" + index.read_bytes())
    elif how == "file":
        shutil.rmtree(path)
        path.write_text("no folder")
    elif how == "index":
        index.write_text(index.read_text()[:50])
    else:
        (path / "values" / "c" / "7").mkdir(exist_ok=True)
        (path / "values" / "c" / "7" / "0.partial").write_bytes(b"half a shard")


@pytest.mark.parametrize(
    "damages",
    [
        ("truncate", "norms", "file"),
        ("remove", "no norms", "index"),
        ("flip", "frame", "stray"),
        ("entry", "bytes", "flip"),
    ],
    ids=" ".join,
)
def test_damage_is_found_and_computed_anew(
    world, outputs, tmp_path, small_chunks, expected, monkeypatch, damages
):
    """Of each site by itself: each knows its own progress."""
    out = outputs(tmp_path)
    stop_after(monkeypatch, world, out, 15)
    for path, how in zip(out["sites"].values(), damages, strict=True):
        damage(path, how)
    extract(**world, **out)
    assert_same(out, expected)


def test_outputs_of_different_progress_meet(world, outputs, tmp_path, small_chunks, expected, monkeypatch):
    """One site is finished, one has begun, one is new: the finished one is not computed again."""
    out = outputs(tmp_path)
    extract(**world, sites={"1": out["sites"]["1"]}, tokens=None)
    part = {"sites": {"3": out["sites"]["3"]}, "tokens": None}
    stop_after(monkeypatch, world, part, 5)
    asked = []
    forward = stage.forward
    monkeypatch.setattr(stage, "forward", lambda *args: (asked.append(tuple(args[2])), forward(*args))[1])
    extract(**world, **out)
    assert_same(out, expected)
    assert set(asked) == {("2.resid_pre",), ("2.resid_pre", "3")}


def test_a_finished_run_computes_nothing_again(world, outputs, tmp_path, small_chunks, expected, monkeypatch):
    out = outputs(tmp_path)
    extract(**world, **out)
    monkeypatch.setattr(stage, "forward", lambda *args: pytest.fail("computed again"))
    extract(**world, **out)
    assert_same(out, expected)


def test_progress_of_other_work_is_not_used(world, outputs, tmp_path, small_chunks, expected):
    out = outputs(tmp_path)
    extract(**{**world, "batch_tokens": 96}, **out)
    extract(**world, **out)
    assert_same(out, expected)


@pytest.mark.long
@pytest.mark.parametrize("attempt", range(8))
def test_kills_at_random_times(world, outputs, tmp_path, small_chunks, expected, attempt):
    """A process killed from outside, again and again, at times nobody chose."""
    out = outputs(tmp_path)
    for i in range(3):
        process = PROCESSES.Process(target=extract, kwargs={**world, **out})
        process.start()
        begun = Path(out["sites"]["1"])
        while process.is_alive() and not begun.exists():
            time.sleep(0.01)
        time.sleep(0.05 * attempt * (i + 1) / 3)
        process.kill()
        process.join()
    extract(**world, **out)
    assert_same(out, expected)


@pytest.mark.parametrize("width", [3, 64, 2560])
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_a_shard_has_the_bytes_that_zarr_writes(tmp_path, monkeypatch, width, dtype):
    """However the rows come; and the last, which not all chunks fill."""
    monkeypatch.setattr(arrays, "CHUNK_BYTES", 1 << 16)
    names = ("zarr", "ours")
    rng = np.random.default_rng(0)
    shape = {"width": width, "shard_bytes": 3 << 16, "quick": True}
    made = {name: create_rows(create_group(tmp_path / name, "x"), "values", dtype, **shape) for name in names}
    full, chunk = made["ours"].shards[0], made["ours"].chunks[0]
    assert full > chunk
    rows = rng.integers(0, 900, (2 * full - chunk - 1, width)).astype(dtype)
    for array in made.values():
        array.resize(rows.shape)
    made["zarr"][:] = rows
    for number, part in enumerate((rows[:full], rows[full:])):
        shard, start = ShardWriter(made["ours"], number), 0
        while start < len(part):
            taken = int(rng.choice([1, 7, chunk, chunk + 1, 3 * chunk]))
            shard.append(part[start : start + taken])
            start += taken
        checksum = shard.finish()
        shard.unfinished.replace(shard.path)
        by_zarr, ours = ((tmp_path / name / f"values/c/{number}/0").read_bytes() for name in names)
        assert ours == by_zarr and checksum == zlib.crc32(ours)
    assert np.array_equal(made["ours"][:], rows)
