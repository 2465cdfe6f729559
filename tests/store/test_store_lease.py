import json
import multiprocessing
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crosslens.store import lease as module
from crosslens.store.lease import acquire, claim, is_stale

PROCESSES = multiprocessing.get_context("spawn")


@pytest.fixture
def gone():
    """The pid of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def write(folder, *, host=None, pid=None, start=None, age=0.0):
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "lease.json"
    holder = {
        "host": host or socket.gethostname(),
        "pid": pid or os.getpid(),
        "start": start,
        "nonce": "other",
    }
    file.write_text(json.dumps(holder))
    os.utime(file, (time.time() - age,) * 2)
    return file


def test_a_dead_process_of_this_host_is_stale_at_once(tmp_path, gone):
    assert is_stale(write(tmp_path, pid=gone))


def test_a_living_process_of_this_host_is_never_stale(tmp_path):
    assert not is_stale(write(tmp_path, age=10**6))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc: a pid's start cannot be told")
def test_a_pid_that_was_given_out_again_is_stale(tmp_path):
    assert is_stale(write(tmp_path, start="1"))


@pytest.mark.parametrize(
    ("age", "stale"), [(0, False), (module.STALE_SECONDS / 2, False), (module.STALE_SECONDS + 5, True)]
)
def test_a_process_of_another_host_is_stale_when_its_heartbeat_stopped(tmp_path, gone, age, stale):
    assert is_stale(write(tmp_path, host="elsewhere", pid=gone, age=age)) == stale


def test_half_a_lease_and_none(tmp_path):
    file = tmp_path / "lease.json"
    assert not is_stale(file)
    file.write_text('{"host"')
    assert not is_stale(file)
    os.utime(file, (1, 1))
    assert is_stale(file)


def test_a_second_writer_gets_a_folder_of_its_own(tmp_path):
    first, second = acquire(tmp_path), acquire(tmp_path)
    assert (first.folder.name, second.folder.name) == ("0", "1")
    assert first.held() and second.held()
    first.release()
    third = acquire(tmp_path)
    assert third.folder.name == "0"
    for lease in (second, third):
        lease.release()


def test_the_successor_of_a_dead_writer_finds_its_work(tmp_path, gone):
    write(tmp_path / "0", pid=gone)
    (tmp_path / "0" / "checkpoint").write_text("half")
    lease = acquire(tmp_path)
    assert lease.folder.name == "0" and lease.held()
    assert (lease.folder / "checkpoint").read_text() == "half"
    assert sorted(path.name for path in lease.folder.iterdir()) == ["checkpoint", "lease.json"]
    lease.release()


def test_release_keeps_the_work_and_clear_removes_it(tmp_path):
    lease = acquire(tmp_path)
    (lease.folder / "object.zarr").mkdir()
    (lease.folder / "object.zarr" / "chunk").write_text("bytes")
    lease.release()
    assert (lease.folder / "object.zarr" / "chunk").exists() and not lease.held()
    again = acquire(tmp_path)
    again.clear()
    assert list(tmp_path.iterdir()) == []


def test_clear_leaves_a_folder_that_another_took_over(tmp_path):
    lease = acquire(tmp_path)
    (lease.folder / "theirs").write_text("work")
    write(lease.folder)
    lease.clear()
    assert (lease.folder / "theirs").exists() and (lease.folder / "lease.json").exists()


def test_the_heartbeat_keeps_a_lease_fresh(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.05)
    lease = acquire(tmp_path)
    os.utime(lease.file, (1, 1))
    until = time.monotonic() + 20
    while lease.file.stat().st_mtime < 2 and time.monotonic() < until:
        time.sleep(0.02)
    assert lease.file.stat().st_mtime > 2
    lease.release()


def test_a_writer_that_lost_its_lease_stops(tmp_path):
    """It slept, another took its folder over: it ends, signals ignored or not, and the other's lease stays."""
    code = (
        "import signal, sys, time; signal.signal(signal.SIGINT, signal.SIG_IGN);"
        "from pathlib import Path; from crosslens.store import lease as m;"
        "m.HEARTBEAT_SECONDS = 0.05; m.acquire(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    file = write(tmp_path / "0", age=-5)
    assert "another writer has taken over" in process.communicate(timeout=50)[1]
    assert process.returncode not in (0, None)
    assert json.loads(file.read_text())["nonce"] == "other"


def test_of_two_who_saw_the_same_dead_lease_one_takes_over(tmp_path, gone, monkeypatch):
    """The second looked before the first took over and acts after it: its look is out of date."""
    write(tmp_path / "0", pid=gone)
    looks, first = [], []

    def late(file):
        stale = is_stale(file)
        if not looks and stale:
            looks.append(stale)
            first.append(claim(tmp_path / "0"))
        return stale

    monkeypatch.setattr(module, "is_stale", late)
    second = claim(tmp_path / "0")
    assert first[0] is not None and first[0].held()
    assert second is None
    first[0].release()


def _compete(parent, barrier, queue):
    barrier.wait()
    lease = acquire(parent)
    queue.put(lease.folder.name)
    barrier.wait()
    assert lease.held()
    lease.release()


def test_writers_that_start_at_once_after_a_kill_get_different_folders(tmp_path, gone):
    write(tmp_path / "0", pid=gone)
    barrier, queue = PROCESSES.Barrier(3), PROCESSES.Queue()
    writers = [PROCESSES.Process(target=_compete, args=(tmp_path, barrier, queue)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert len({queue.get(timeout=5) for _ in writers}) == 3
