"""Snakemake and the jobs of the tests' studies in forks of one process that has the libraries loaded.

Importing them is most of what a tiny job does. `serving(folder)` starts that process and gives the interpreter to run
scripts with: a client that hands the command line, folder, environment and files over to a fork and ends as it does. A
fork has nothing of crosslens loaded before it runs its script: a job runs the code of its own checkout. It dies with
its client, but is not in its process group.
"""

import atexit
import contextlib
import json
import os
import random
import runpy
import secrets
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

LIBRARIES = (
    "snakemake.cli",
    "torch",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.processing_auto",
    "transformers.models.gemma3.modeling_gemma3",
    "pandas",
    "pyarrow.parquet",
    "zarr",
    "safetensors.torch",
    "scipy.stats",
    "sklearn.preprocessing",
    "sklearn.model_selection",
    "matplotlib.figure",
)
CLIENT = """#!{python} -IS
import os, sys
if not "".join(sys.argv[1:2]).endswith(".py"):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
import json, socket
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
told = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(server, [len(told).to_bytes(8, "big")], [0, 1, 2])
server.sendall(told)
sys.exit(int.from_bytes(server.recv(1) or b"\\1", "big"))
"""


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Path]:
    """The client's path, while the server runs; where sockets have no abstract names, Python itself."""
    if sys.platform != "linux":
        yield Path(sys.executable)
        return
    address, client = f"\0{secrets.token_hex(16)}", folder / "python"
    client.write_text(CLIENT.format(python=sys.executable, address=address))
    client.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, __file__, address[1:], str(client)],
        # What is read when a library is loaded, as it is for the jobs (rules/common.smk).
        env=os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert server.stdout.readline() == b"ready\n", "tests/workflow/warm.py did not start"
    try:
        yield client
    finally:
        server.kill()
        server.wait()


def serve(address: str, client: str) -> None:
    """Fork for every client until the process that started this one is gone."""
    for name in LIBRARIES:
        __import__(name)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(f"\0{address}")
    listening.listen(64)
    os.write(1, b"ready\n")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # The pipe to the starter ends with it.
    while 0 not in select.select([0, listening], [], [])[0]:
        asking, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            # Snakemake starts its jobs by this name.
            sys.executable = client
            sys.exit(run(asking))
        asking.close()


def run(client: socket.socket) -> int:
    """Run the client's script in this fork; the exit status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    length, files, *_ = socket.recv_fds(client, 8, 3)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.argv, folder, environment = json.loads(client.recv(int.from_bytes(length, "big"), socket.MSG_WAITALL))
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = str(Path(sys.argv[0]).parent)
    sys.path[1:1] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    # A process of its own would have random states of its own.
    random.seed()
    sys.modules["numpy"].random.seed()
    threading.Thread(target=die_with, args=[client], daemon=True).start()
    status = 1
    # Registered first, said last: after all that the script leaves for the end.
    atexit.register(lambda: client.sendall(bytes([status & 255])))
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def die_with(client: socket.socket) -> None:
    """A killed client takes its fork with it."""
    if not client.recv(1):
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    serve(*sys.argv[1:])
