"""The process that has the libraries loaded: `server.py FOLDER LIBRARY…` forks for every client.

Nothing of crosslens is loaded: a job runs the code of its own checkout. It ends with the process at the other end of its
standard input; a fork ends with its client.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import random
import runpy
import select
import shutil
import signal
import socket
import sys
import tempfile
import threading
import traceback
import warnings
from pathlib import Path


def serve(folder: Path, libraries: list[str]) -> None:
    """Load the libraries, then fork for every client that connects to FOLDER/socket, until standard input ends."""
    for name in libraries:
        importlib.import_module(name)
    # What the collector never looks at stays shared with the forks.
    gc.collect()
    gc.freeze()
    listening = socket.socket(socket.AF_UNIX)
    # Clients find no socket before it takes them.
    listening.bind(f"{folder}/starting")
    listening.listen(64)
    (folder / "starting").rename(folder / "socket")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while 0 not in select.select([0, listening], [], [])[0]:
        asking, _ = listening.accept()
        # pyarrow's allocator has a thread, and minds forks.
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            process = os.fork()
        if process == 0:
            listening.close()
            run(asking)
        asking.close()
    shutil.rmtree(folder, ignore_errors=True)


def run(client: socket.socket) -> None:
    """In a fork: run the client's script as Python would, tell the client how it ended, and end."""
    if "torch" in sys.modules and sys.modules["torch"].cuda._is_in_bad_fork():
        # A library has asked for GPUs when it was loaded: no fork can use them any more, and the client does without.
        os._exit(1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    length, files, *_ = socket.recv_fds(client, 8, 3)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.argv, folder, environment = json.loads(client.recv(int.from_bytes(length, "big"), socket.MSG_WAITALL))
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [
        str(Path(sys.argv[0]).parent),
        *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)),
    ]
    importlib.invalidate_caches()
    # What a process of its own would find out or draw by itself.
    tempfile.tempdir = None
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    client.sendall(os.getpid().to_bytes(8, "big"))
    threading.Thread(target=die_with, args=[client], daemon=True).start()
    status = 1
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
    except BaseException:
        traceback.print_exc()
    # As multiprocessing ends its forks.
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    client.sendall(bytes([status & 255]))
    os._exit(status & 255)


def die_with(client: socket.socket) -> None:
    """A killed client takes its fork with it, also where it had not read yet what this one is."""
    with contextlib.suppress(ConnectionResetError):
        client.recv(1)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.argv[2:])
