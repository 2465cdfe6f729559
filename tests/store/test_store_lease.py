import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from crosslens.store import lease as module
from crosslens.store.lease import abandoned, acquire, claim, is_gone

PROCESSES = multiprocessing.get_context("spawn")
NO_PROC = not Path("/proc/self/stat").exists()


@pytest.fixture
def gone():
    """The pid of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def quick(monkeypatch):
    """Seconds become hundredths."""
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(module, "STALE_SECONDS", 0.6)


def write(folder, *, place=None, pid=None, start=None):
    folder.mkdir(parents=True, exist_ok=True)
    pid = pid or os.getpid()
    holder = {
        "place": place or module._place(),
        "pid": pid,
        "start": start or module._process_start(pid) or "0",
    }
    (folder / "lease.json").write_text(json.dumps(holder))
    return folder


# who lives


@pytest.mark.skipif(NO_PROC, reason="no /proc: only heartbeats tell")
def test_a_dead_process_of_this_host_is_gone_at_once(tmp_path, gone):
    assert is_gone(write(tmp_path, pid=gone)) is True
    assert abandoned([tmp_path]) == [tmp_path]


@pytest.mark.skipif(NO_PROC, reason="no /proc: only heartbeats tell")
def test_a_living_process_of_this_host_is_never_gone(tmp_path):
    os.utime(write(tmp_path) / "lease.json", (1, 1))
    assert is_gone(tmp_path) is False


@pytest.mark.skipif(NO_PROC, reason="no /proc: a pid's start cannot be told")
def test_a_pid_that_was_given_out_again_is_gone(tmp_path):
    assert is_gone(write(tmp_path, start="1"))


@pytest.mark.skipif(NO_PROC, reason="no /proc")
def test_a_zombie_is_gone(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    write(tmp_path, pid=process.pid)
    assert is_gone(tmp_path) is False
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, and not yet waited for
    assert is_gone(tmp_path) is True
    process.wait()


@pytest.mark.parametrize("place", ["elsewhere", "namespace"])
def test_a_pid_of_another_host_or_container_proves_nothing(tmp_path, gone, place):
    """In another container of this host the same pid is another process, or none."""
    named = "elsewhere" if place == "elsewhere" else f"{module._place()}0"
    assert is_gone(write(tmp_path, place=named, pid=gone)) is None
    assert is_gone(write(tmp_path, place=named)) is None


def _in_a_namespace(code, *args):
    command = ["unshare", "--fork", "--pid", "--mount-proc", sys.executable, "-c", code, *args]
    try:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    except OSError as error:
        pytest.skip(f"no unshare: {error}")


def test_the_writer_of_a_real_other_pid_namespace_is_left_alone(tmp_path, quick):
    process = _in_a_namespace(
        "import sys; from pathlib import Path; from crosslens.store import lease as m;"
        "m.HEARTBEAT_SECONDS = 0.05; lease = m.acquire(Path(sys.argv[1])); print('held', flush=True); input();"
        "print(lease.held())",
        str(tmp_path),
    )
    if process.stdout.readline() != "held\n":
        pytest.skip("cannot make a pid namespace here")
    (folder,) = tmp_path.iterdir()
    assert json.loads((folder / "lease.json").read_text())["pid"] < 10
    assert is_gone(folder) is None and abandoned([folder]) == []
    mine = acquire(tmp_path)
    assert mine.folder != folder
    mine.release()
    assert process.communicate("\n", timeout=60)[0] == "True\n"


def beat(folder, stop, clock):
    """Heartbeats by a clock that is off."""
    while not stop.wait(0.05):
        os.utime(folder / "lease.json", (time.time() + clock,) * 2)


@pytest.mark.parametrize("clock", [-90.0, 90.0, -1e6])
def test_a_heartbeat_of_a_clock_that_is_off_is_a_heartbeat(tmp_path, quick, clock):
    folder, stop = write(tmp_path / "theirs", place="elsewhere"), threading.Event()
    thread = threading.Thread(target=beat, args=(folder, stop, clock))
    thread.start()
    lease = acquire(tmp_path)
    assert lease.folder != folder and folder.exists()
    stop.set()
    thread.join()
    lease.clear()
    # and one whose heart stopped in what is the future here is dead
    os.utime(folder / "lease.json", (time.time() + 90,) * 2)
    (folder / "checkpoint").write_text("half")
    lease = acquire(tmp_path)
    assert (lease.folder / "checkpoint").read_text() == "half"
    lease.release()


@pytest.mark.parametrize(
    "pid", [float("inf"), float("nan"), 1.5, "7", True, 0, -1, 2**40, 10**30, None, []], ids=range(11)
)
def test_what_is_no_number_of_a_process_is_told_by_the_heartbeat(tmp_path, pid):
    (tmp_path / "lease.json").write_text(json.dumps({"place": module._place(), "pid": pid, "start": "1"}))
    assert is_gone(tmp_path) is None


@pytest.mark.parametrize("text", ['{"host"', "[]", '{"place": 1, "pid": "x"}', "\x00", "null", "{}"])
def test_a_damaged_lease_is_told_by_its_heartbeat(tmp_path, quick, text):
    folder = tmp_path / "theirs"
    assert is_gone(folder) is True
    folder.mkdir()
    (folder / "lease.json").write_text(text)
    assert is_gone(folder) is None
    lease = acquire(tmp_path)
    assert [lease.folder] == list(tmp_path.iterdir())
    lease.release()


# whose folder it is


def test_a_second_writer_gets_a_folder_of_its_own(tmp_path):
    first, second = acquire(tmp_path), acquire(tmp_path)
    assert first.folder != second.folder
    assert first.held() and second.held()
    (first.folder / "checkpoint").write_text("half")
    first.release()
    third = acquire(tmp_path)
    assert (third.folder / "checkpoint").exists()
    for lease in (second, third):
        lease.release()


def test_the_successor_of_a_dead_writer_finds_its_work(tmp_path, quick, gone):
    write(tmp_path / "0", pid=gone)
    (tmp_path / "0" / "checkpoint").write_text("half")
    lease = acquire(tmp_path)
    assert lease.held() and list(tmp_path.iterdir()) == [lease.folder]
    assert (lease.folder / "checkpoint").read_text() == "half"
    assert sorted(path.name for path in lease.folder.iterdir()) == ["checkpoint", "lease.json"]
    lease.release()


@pytest.mark.parametrize("damage", ["file", "link", "dangling"])
def test_a_folder_for_work_that_is_none_is_no_hindrance(tmp_path, damage):
    parent, outside = tmp_path / "partial", tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").write_text("kept")
    for place in (parent, parent / "0"):
        if damage == "file":
            place.write_text("")
        else:
            place.symlink_to(outside if damage == "link" and place != parent else tmp_path / "nowhere")
        lease = acquire(parent)
        assert lease.held() and lease.folder.resolve().is_relative_to(parent)
        lease.clear()
    assert [file.name for file in outside.iterdir()] == ["mine"]


def test_release_keeps_the_work_and_clear_removes_it(tmp_path):
    lease = acquire(tmp_path)
    (lease.folder / "object.zarr").mkdir()
    (lease.folder / "object.zarr" / "chunk").write_text("bytes")
    lease.release()
    assert (lease.folder / "object.zarr" / "chunk").exists() and not lease.held()
    again = acquire(tmp_path)
    assert (again.folder / "object.zarr" / "chunk").exists()
    again.clear()
    assert list(tmp_path.iterdir()) == []


def test_clear_leaves_a_folder_that_another_took_over(tmp_path):
    lease = acquire(tmp_path)
    (lease.folder / "theirs").write_text("work")
    theirs = claim(lease.folder)
    assert not lease.held() and theirs.held()
    lease.clear()
    assert (theirs.folder / "theirs").exists() and theirs.held()
    theirs.release()


def test_a_writer_that_woke_up_late_can_write_nothing_into_its_successors_work(tmp_path):
    lease = acquire(tmp_path)
    theirs = claim(lease.folder)
    with pytest.raises(FileNotFoundError):
        (lease.folder / "object").write_text("mine")
    lease.release()
    theirs.release()


# heartbeats


def test_the_heartbeat_keeps_a_lease_fresh(tmp_path, quick):
    lease = acquire(tmp_path)
    os.utime(lease.file, (1, 1))
    until = time.monotonic() + 20
    while lease.file.stat().st_mtime < 2 and time.monotonic() < until:
        time.sleep(0.02)
    assert lease.file.stat().st_mtime > 2
    lease.release()


def _writer(tmp_path, more=""):
    code = (
        "import os, signal, sys, time; signal.signal(signal.SIGINT, signal.SIG_IGN);"
        "from pathlib import Path; from crosslens.store import lease as m;"
        "m.HEARTBEAT_SECONDS, m.STALE_SECONDS = 0.05, 0.5; lease = m.acquire(Path(sys.argv[1]));"
        f"print(lease.folder.name, flush=True)\n{more}\ntime.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return process, tmp_path / process.stdout.readline().strip()


def test_a_writer_that_lost_its_lease_stops(tmp_path):
    """It slept, another took its folder over: it ends, signals ignored or not, and the other's lease stays."""
    process, folder = _writer(tmp_path)
    theirs = claim(folder)
    assert "another writer has taken over" in process.communicate(timeout=50)[1]
    assert process.returncode not in (0, None)
    assert theirs.held()
    theirs.release()


def test_a_writer_whose_heartbeat_fails_stops_and_one_that_stumbles_does_not(tmp_path):
    """Others see no heartbeat and take it for dead: it must not go on."""
    fail = (
        "utime, os.utime = os.utime, lambda path: (_ for _ in ()).throw(OSError(5, 'Input/output error'))\n"
    )
    process, _ = _writer(tmp_path, fail)
    assert "no heartbeat ([Errno 5] Input/output error)" in process.communicate(timeout=50)[1]
    assert process.returncode not in (0, None)
    process, _ = _writer(
        tmp_path, f"{fail}time.sleep(0.15)\nos.utime = utime\ntime.sleep(1)\nsys.exit(3 * lease.held())"
    )
    process.communicate(timeout=50)
    assert process.returncode == 3


# take-over


def test_of_two_who_saw_the_same_dead_lease_one_takes_over(tmp_path, gone):
    """The second looked before the first took over and acts after it: its look is out of date."""
    folder = write(tmp_path / "0", pid=gone)
    first, second = claim(folder), claim(folder)
    assert first is not None and first.held()
    assert second is None
    first.release()


@pytest.mark.parametrize("operation", range(4))
@pytest.mark.parametrize("new", [False, True])
def test_a_kill_at_any_point_of_the_take_over_leaves_the_work_to_the_next(
    tmp_path, gone, operation, new, monkeypatch
):
    if not new:
        write(tmp_path / "0", pid=gone)
        (tmp_path / "0" / "checkpoint").write_text("half")
    code = f"""
import os, sys
from pathlib import Path
from crosslens.store import lease
done = 0
for name in ("rename", "write_text", "replace"):
    def counted(*args, real=getattr(Path, name)):
        global done
        if done == {operation}:
            os._exit(9)
        done += 1
        return real(*args)
    setattr(Path, name, counted)
lease.acquire(Path(sys.argv[1]))
os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 9
    monkeypatch.setattr(
        time, "sleep", lambda seconds: pytest.fail("that its writer is gone is seen, not waited for")
    )
    lease = acquire(tmp_path)
    assert new or (lease.folder / "checkpoint").read_text() == "half"
    assert list(tmp_path.iterdir()) == [lease.folder]
    lease.clear()


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
    assert len({queue.get(timeout=60) for _ in writers}) == 3
