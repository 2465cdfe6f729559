"""Disks that are full, stores that cannot be written, vanish or show late what is in them, and several writers at once."""

import os
import random
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from damaged_store import assert_right
from jobs import Fork, World

from crosslens.store.garbage import collect_garbage, find_garbage
from crosslens.store.store import Store

pytestmark = [pytest.mark.faults, pytest.mark.long]

CHAIN = ["extract", "train_saes", "apply_saes"]


class Case:
    """One job, with all that it reads in a root that it only reads."""

    def __init__(self, world: World, rule: str, folder: Path):
        self.world, self.rule, self.folder, self.place = world, rule, folder, world.largest(rule)
        world.make(rule, self.place)
        keys = world.keys(rule, self.place).values()
        self.right = {key: world.store.object(key).name for key in keys}
        self.kept = world.without(self.right, f"kept_{rule}_{folder.name}")

    def start(self, own: Path, shared: Path | None = None, before=lambda: None) -> Fork:
        roots = f"{own}:{shared or self.kept}"

        def work() -> None:
            before()
            self.world.run(self.rule, self.place, roots)

        self.count = getattr(self, "count", 0) + 1
        return Fork(work, self.folder / f"said_{self.count}")

    def assert_done(self, own: Path) -> None:
        assert assert_right(Store(str(own)), self.right) == self.right.keys()


@pytest.fixture(params=CHAIN)
def case(world, tmp_path, request):
    return Case(world, request.param, tmp_path)


def mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path):
    """A file system of 64 KiB, which can be made larger."""
    place = tmp_path / "disk"
    place.mkdir()
    mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place))
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_full_again_and_again(case, disk):
    """It grows by half until the job is done: each end is one line, and the next one resumes."""
    size, full = 64, 0
    while (job := case.start(disk / "store")).wait():
        said = job.said.read_text()
        assert job.wait() == 1 and "no space left" in said and "Traceback" not in said, said
        assert_right(Store(str(disk / "store")), case.right)
        full, size = full + 1, size * 3 // 2
        mount("-o", f"remount,size={size}k", str(disk))
    case.assert_done(disk / "store")
    assert full
    print(f"{case.rule}: the disk was full {full} times; 0 wrong results")


def test_a_store_that_is_read_only(case, disk, tmp_path):
    """As the first root it is an error; as a further one it is read."""
    mount("-o", "remount,size=100m", str(disk))
    shutil.copytree(case.kept, disk / "shared", symlinks=True)
    mount("-o", "remount,ro", str(disk))
    job = case.start(disk / "store")
    assert job.wait() == 1 and "the store cannot be written" in job.said.read_text()
    assert case.start(tmp_path / "own", disk / "shared").wait() == 0
    case.assert_done(tmp_path / "own")
    mount("-o", "remount,rw", str(disk))


@pytest.mark.parametrize("writers", [2, 8])
def test_writers_of_the_same_on_one_store_at_once(case, tmp_path, writers):
    jobs = [case.start(tmp_path / "own") for _ in range(writers)]
    for job in jobs:
        assert job.wait() == 0, job.said.read_text()
    case.assert_done(tmp_path / "own")
    assert not list((tmp_path / "own").glob("partial/*"))


def test_clocks_that_are_days_apart(case, tmp_path):
    """Two writers, one of which lives a day ahead and the other a day behind, and a third that comes later."""

    def off(seconds: float):
        clock = time.time
        time.time = lambda: clock() + seconds

    jobs = [case.start(tmp_path / "own", before=lambda days=days: off(days * 86400)) for days in (-1, 1)]
    for job in jobs:
        assert job.wait() == 0, job.said.read_text()
    case.assert_done(tmp_path / "own")
    again = case.start(tmp_path / "own", before=lambda: off(-7 * 86400))
    assert again.wait() == 0
    case.assert_done(tmp_path / "own")


def test_a_file_system_that_shows_late_what_others_have_made(world, tmp_path):
    """Of an action others learn three seconds after it was published: who needs it waits, who makes it again agrees."""
    own = tmp_path / "own"

    def late() -> None:
        has = Store.has

        def seen(store: Store, key: str) -> bool:
            action = store.action(key)
            return has(store, key) and time.time() - action.lstat().st_mtime > 3

        Store.has = seen

    right = {}
    cases = [Case(world, rule, tmp_path) for rule in CHAIN]
    for case in cases:
        right |= case.right
    everything = world.without(right, "kept_late")
    for case in cases:
        case.kept = everything
        for job in [case.start(own, before=late) for _ in range(2)]:
            assert job.wait() == 0, job.said.read_text()
    assert assert_right(Store(str(own)), right) == right.keys()


def test_a_shared_store_that_vanishes(case, tmp_path):
    """At a random moment of the job; what is stored is right, and once it is back the same command ends well."""
    chance, gone, ended = random.Random(case.rule), tmp_path / "gone", {0: 0, 1: 0}
    shared = tmp_path / "shared"
    # Objects, not links to them: what vanishes is what is read.
    shutil.copytree(case.world.store.own, shared, symlinks=True)
    for action in [*shared.glob("actions/*/*")]:
        if not os.path.lexists(case.kept / action.relative_to(shared)):
            action.unlink()
    began = time.monotonic()
    assert case.start(tmp_path / "undisturbed", shared).wait() == 0
    takes = time.monotonic() - began
    for number in range(5):
        own = tmp_path / f"own_{number}"
        job = case.start(own, shared)
        time.sleep(chance.uniform(0, takes))
        shared.rename(gone)
        status = job.wait()
        assert status in ended, job.said.read_text()
        ended[status] += 1
        found = assert_right(Store(str(own)), case.right)
        assert status or found == case.right.keys()
        gone.rename(shared)
        assert (again := case.start(own, shared)).wait() == 0, again.said.read_text()
        case.assert_done(own)
    print(f"{case.rule}: the shared store vanished 5 times, {ended[1]} ended in an error; 0 wrong results")


@pytest.mark.parametrize("grace", [0, 86400])
def test_garbage_is_collected_while_jobs_run(case, tmp_path, grace):
    """By somebody who gives no time of grace, and to whom nothing is known to be used, again and again."""
    own = tmp_path / "own"

    def collect() -> None:
        while True:
            collect_garbage(find_garbage(Store(str(own)), grace_seconds=grace))

    own.mkdir()
    collector = Fork(collect, tmp_path / "collected")
    statuses = []
    try:
        for _ in range(3):
            job = case.start(own)
            statuses.append(job.wait())
            assert statuses[-1] == 0 or not grace, job.said.read_text()
            for action in own.glob("actions/*/*"):
                if action.name in case.right and action.is_symlink():
                    assert action.readlink().name == case.right[action.name]
    finally:
        assert not collector.ends(), (tmp_path / "collected").read_text()
        collector.kill()
        collector.wait()
    assert case.start(own).wait() == 0
    case.assert_done(own)
    print(
        f"{case.rule}: gc with a grace of {grace} s beside 3 runs, which ended with {statuses}; 0 wrong results"
    )
