"""A script behaves in a fork of the warm process as in a process of its own, and in one of its own where there is none."""

import json
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crosslens.warm.client import own
from crosslens.warm.start import serving

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere every job has a process of its own"
)

LIBRARY = "warm_library"
"""Stands for what takes long to load; `loaded` is in `sys.modules` of a fork before its script asks for anything."""


class Warm:
    """A server with one library, and what its interpreter does with scripts."""

    def __init__(self, folder: Path, python: str):
        self.folder, self.python = folder, Path(python)
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.started = []

    def file(self, script: str) -> Path:
        """The script in the folder."""
        file = self.folder / "script.py"
        file.write_text(script, encoding="utf-8")
        return file

    def start(self, script: str, *args: str, **given) -> subprocess.Popen:
        """Run the text of a script in the folder."""
        given = {
            "cwd": self.folder,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            **given,
        }
        given["env"] = self.environment | given.get("env", {})
        self.started.append(subprocess.Popen([self.python, self.file(script), *args], **given))
        return self.started[-1]

    def end(self) -> None:
        """Leave nothing running, whatever failed."""
        for process in self.started:
            process.kill()
            process.wait()

    def run(self, script: str, *args: str, **given) -> subprocess.CompletedProcess:
        """As `start`, to its end."""
        process = self.start(script, *args, **given)
        said = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, *said)

    def forks(self, **given) -> bool:
        """Whether a script runs in a fork."""
        said = self.run(f"import sys; print({LIBRARY!r} in sys.modules)", **given)
        assert (said.returncode, said.stderr) == (0, "")
        return said.stdout == "True\n"


def until(condition, seconds=30.0):
    """The first true value of `condition()`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError("nothing happened")


def gone(process: int) -> bool:
    """Whether a process has ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.fixture
def library(tmp_path, monkeypatch):
    """Write the library, which the server finds and which is not there later."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "libraries"))

    def write(text=""):
        file = tmp_path / "libraries" / f"{LIBRARY}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")

    write()
    return write


@pytest.fixture
def warm(library, tmp_path):
    with serving([LIBRARY]) as python:
        until((Path(python).parent / "socket").exists)
        warm = Warm(tmp_path, python)
        yield warm
        warm.end()


def test_a_script_finds_what_it_would_by_itself_and_the_library_besides(warm, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own/beside.py").write_text("there = True")
    script = f"""
import beside, os, sys
assert beside.there and {LIBRARY!r} in sys.modules
assert not [name for name in sys.modules if name.startswith("crosslens")]
print(__name__, sys.argv[1:], os.getcwd(), os.environ["SAID"], sys.executable, sys.path[0], sys.stdin.read())
print("to the other", file=sys.stderr)
"""
    (tmp_path / "given").write_text("read")
    with (tmp_path / "given").open() as given:
        said = warm.run(script, "a b", stdin=given, env={"SAID": "é", "PYTHONPATH": str(tmp_path / "own")})
    assert (said.returncode, said.stderr) == (0, "to the other\n")
    assert said.stdout == f"__main__ ['a b'] {tmp_path} é {sys.executable} {tmp_path} read\n"


@pytest.mark.parametrize(
    ("script", "status", "said"),
    [
        ("", 0, ""),
        ("import sys; sys.exit(7)", 7, ""),
        ("import sys; sys.exit('words')", 1, "words\n"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero\n"),
        ("import os; os._exit(0)", 0, ""),
        ("import os; os._exit(3)", 3, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 143, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", 139, ""),
        ("raise KeyboardInterrupt", 130, "KeyboardInterrupt\n"),
        ("import os, sys\nif os.fork() == 0: sys.exit(3)\nassert os.wait()[1] == 3 << 8", 0, ""),
    ],
)
def test_it_ends_as_its_script(warm, script, status, said):
    ended = warm.run(script)
    assert ended.returncode == status and ended.stderr.endswith(said) and bool(said) == bool(ended.stderr)


def test_it_is_as_nice_and_as_limited_as_what_it_stands_for(warm):
    """Whatever the server is."""
    script = "import os, resource; print(os.umask(0), os.nice(0), resource.getrlimit(resource.RLIMIT_CORE))"
    ends = []

    def differ():
        os.umask(0o27)
        os.nice(3)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 4096))

    for python in (warm.python, sys.executable):
        said = subprocess.run(
            [python, warm.file(script)],
            capture_output=True,
            text=True,
            env=warm.environment,
            preexec_fn=differ,
        )
        ends.append((said.stdout, said.stderr))
    assert ends[0] == ends[1] == (f"{0o27} {os.nice(0) + 3} (0, 4096)\n", "")
    assert warm.run(script).stdout != ends[0][0]


def test_threads_and_what_is_left_for_the_end_are_awaited(warm):
    script = """
import atexit, threading, time
atexit.register(print, "at the end")
threading.Thread(target=lambda: (time.sleep(0.2), print("thread"))).start()
"""
    assert warm.run(script).stdout == "thread\nat the end\n"


def test_forks_draw_anew_and_look_anew_where_temporary_files_go(warm, tmp_path):
    script = """
import random, tempfile
print(random.random(), tempfile.gettempdir())
"""
    said = [warm.run(script, env={"TMPDIR": str(tmp_path)}).stdout.split() for _ in range(2)]
    assert said[0][0] != said[1][0] and [place for _, place in said] == [str(tmp_path)] * 2


# In the background of a shell a session ignores interrupts, and so would what it starts.
WAITS = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    pathlib.Path("process").write_text(str(os.getpid()))
    while True:
        time.sleep(0.05)
except KeyboardInterrupt:
    print("interrupted")
    sys.exit(5)
"""


def begun(folder: Path) -> int:
    """The process of a script that waits."""
    file = folder / "process"
    return int(until(lambda: file.exists() and file.read_text()))


@pytest.mark.parametrize("to", ["all", "one"])
def test_an_interrupt_reaches_the_script_once(warm, tmp_path, to):
    """Of a terminal, which tells the whole process group, or of a process."""
    process = warm.start(WAITS, start_new_session=True)
    fork = begun(tmp_path)
    assert fork != process.pid
    (os.killpg if to == "all" else os.kill)(process.pid, signal.SIGINT)
    assert process.communicate(timeout=30) == ("interrupted\n", "") and process.returncode == 5
    until(lambda: gone(fork))


def test_a_termination_reaches_the_script(warm, tmp_path):
    """SAE training saves where it is."""
    catch = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))"
    process = warm.start(catch + WAITS)
    begun(tmp_path)
    process.terminate()
    assert process.wait(30) == 9


def test_a_stopped_script_stops_and_goes_on(warm, tmp_path):
    process = warm.start(WAITS)
    fork = begun(tmp_path)

    def state(number):
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]

    process.send_signal(signal.SIGTSTP)
    until(lambda: state(fork) == state(process.pid) == "T")
    process.send_signal(signal.SIGCONT)
    until(lambda: "T" not in state(fork) + state(process.pid))
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 5


def test_a_killed_job_leaves_no_fork(warm, tmp_path):
    process = warm.start(WAITS)
    fork = begun(tmp_path)
    process.kill()
    until(lambda: gone(fork))


FORKS = (
    """
import os, pathlib, time
child = os.fork()
if child == 0:
    time.sleep(60)
pathlib.Path("child").write_text(str(child))
"""
    + WAITS
)


@pytest.mark.parametrize("served", [True, False])
def test_a_killed_script_is_not_waited_for_by_what_it_has_forked(warm, tmp_path, served):
    """Neither where the server tells how it ended nor where that has ended, too."""
    server = server_of(warm)
    process = warm.start(FORKS)
    fork = begun(tmp_path)
    child = int((tmp_path / "child").read_text())
    try:
        if not served:
            os.kill(server, signal.SIGKILL)
            until(lambda: gone(server))
        os.kill(fork, signal.SIGKILL)
        assert process.wait(30) == 137
        assert not gone(child)
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("says", [b"", b"\0\0\0\0\0\0\0\x09{"], ids=["nothing", "half"])
def test_clients_that_connect_and_leave_are_of_no_account(library, tmp_path, capfd, says):
    # Begun here, where what it says is heard.
    with serving([LIBRARY]) as python:
        place = Path(python).parent / "socket"
        until(place.exists)
        warm = Warm(tmp_path, python)
        server = server_of(warm)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(place))
            if says:
                socket.send_fds(client, [says], [0, 1, 2])
        assert server_of(warm) == server  # it forked for that one first
        children = Path(f"/proc/{server}/task/{server}/children")
        until(lambda: not children.read_text())
        assert capfd.readouterr() == ("", "")


def test_a_client_that_is_killed_before_it_knows_its_fork_leaves_none(warm, tmp_path):
    (tmp_path / "script.py").write_text(WAITS)
    told = json.dumps({"words": [str(tmp_path / "script.py")], **own(), "folder": str(tmp_path)}).encode()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(warm.python.parent / "socket"))
        socket.send_fds(client, [len(told).to_bytes(8, "big")], [0, 1, 2])
        client.sendall(told)
        fork = begun(tmp_path)
    until(lambda: gone(fork))


def test_a_script_comes_too_early_and_runs_by_itself(library, tmp_path):
    library(
        "import pathlib, time\nwhile not pathlib.Path(__file__).with_name('go').exists(): time.sleep(0.01)"
    )
    with serving([LIBRARY]) as python:
        warm = Warm(tmp_path, python)
        assert not warm.forks()
        (tmp_path / "libraries/go").touch()
        until((Path(python).parent / "socket").exists)
        assert warm.forks()


def server_of(warm: Warm) -> int:
    """The server's process: the parent of a fork."""
    return int(warm.run("import os; print(os.getppid())").stdout)


def test_the_server_dies_and_scripts_go_on_and_come_without_it(warm, tmp_path):
    process = warm.start(WAITS)
    fork = begun(tmp_path)
    os.kill(server_of(warm), signal.SIGKILL)
    until(lambda: not warm.forks())
    assert not gone(fork)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 5


@pytest.mark.parametrize(
    "loaded",
    [
        "1 / 0",
        "import sys, types; cuda = types.SimpleNamespace(_is_in_bad_fork=lambda: True);"
        "sys.modules['torch'] = types.SimpleNamespace(cuda=cuda)",
    ],
    ids=["not to be loaded", "GPUs asked for"],
)
def test_libraries_that_a_fork_cannot_use_leave_scripts_to_themselves(library, tmp_path, loaded, capfd):
    library(loaded)
    with serving([LIBRARY]) as python:
        until(
            lambda: (Path(python).parent / "socket").exists() or "ZeroDivisionError" in capfd.readouterr().err
        )
        assert not Warm(tmp_path, python).forks()


def test_a_fork_that_may_not_be_what_its_client_is_leaves_the_script_to_it(library, tmp_path, monkeypatch):
    """As where only root may be less nice, or raise a limit."""
    library("import os\ndef refuse(*_): raise PermissionError\nos.setpriority = refuse")
    with serving([LIBRARY]) as python:
        until((Path(python).parent / "socket").exists)
        assert not Warm(tmp_path, python).forks()


def test_where_nothing_may_be_executed_scripts_run_by_themselves(tmp_path, monkeypatch):
    """As on a file system that is mounted noexec, which says the same of every file."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(Path, "chmod", lambda *_: None)
    with serving([]) as python:
        assert subprocess.run([python, "-c", ""]).returncode == 0
        assert python == sys.executable
    assert not list(tmp_path.iterdir())


def test_scripts_of_several_threads_run_by_themselves(warm):
    assert not warm.forks(env={"OMP_NUM_THREADS": "2"})
    assert warm.forks()


def test_other_commands_are_pythons(warm):
    said = subprocess.run(
        [warm.python, "-c", "import sys; print(sys.executable)"], capture_output=True, text=True
    )
    assert said.stdout == f"{sys.executable}\n"


def test_nobody_else_can_connect(warm):
    folder = warm.python.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert str(folder) in Path("/proc/net/unix").read_text()
    if os.geteuid() == 0:
        os.seteuid(65534)
        try:
            with pytest.raises(PermissionError), socket.socket(socket.AF_UNIX) as client:
                client.connect(str(folder / "socket"))
        finally:
            os.seteuid(0)


def test_the_server_ends_with_the_one_that_started_it_however_that_ends(library, tmp_path):
    starts = f"""
import time
from crosslens.warm.start import serving
with serving([{LIBRARY!r}]) as python:
    print(python, flush=True)
    time.sleep(60)
"""
    path = f"{Path(__file__).parents[2] / 'src'}:{os.environ['PYTHONPATH']}"
    starter = subprocess.Popen(
        [sys.executable, "-c", starts],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    warm = Warm(tmp_path, starter.stdout.readline().strip())
    until((warm.python.parent / "socket").exists)
    process = warm.start(WAITS)
    fork, server = begun(tmp_path), server_of(warm)
    starter.kill()
    starter.wait()
    until(lambda: gone(server))
    assert not warm.python.parent.exists()
    # As a job of its own does: it is another that ends it, or its script.
    assert not gone(fork)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 5


def test_where_a_path_cannot_be_used_scripts_run_by_themselves(tmp_path, monkeypatch):
    for name in ("a b", 100 * "x"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / name))
        with serving([]) as python:
            assert python == sys.executable
        assert not list((tmp_path / name).iterdir())
