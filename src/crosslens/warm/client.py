"""What stands for the interpreter of a job: `client.py SOCKET PYTHON SCRIPT ARGUMENT…`.

A fork of the server runs the script with this process's arguments, folder, environment and files; this process passes
signals on to it and ends as it does. Where no server answers, Python itself takes the place of this process. Started for
every job, it imports next to nothing.
"""

import contextlib
import json
import os
import resource
import signal
import socket
import sys

THREADS = "1"
"""What OMP_NUM_THREADS is in the server: libraries read it when they are loaded."""
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP, signal.SIGCONT)
SECONDS = 60
"""To wait for a fork."""


def own() -> dict:
    """What a process of its own would have of this one, beside its files."""
    mask = os.umask(0)
    os.umask(mask)
    limits = {getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}
    return {
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "umask": mask,
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "limits": [[limit, resource.getrlimit(limit)] for limit in limits],
    }


def forked(address: str, words: list[str]) -> tuple[socket.socket, int] | None:
    """The connection to the fork that runs the script, and its process id; None if there is none."""
    server = socket.socket(socket.AF_UNIX)
    server.settimeout(SECONDS)
    try:
        told = json.dumps({"words": words, **own()}).encode()
        server.connect(address)
        socket.send_fds(server, [len(told).to_bytes(8, "big")], [0, 1, 2])
        server.sendall(told)
        process = server.recv(8, socket.MSG_WAITALL)
    except OSError:
        return None
    server.settimeout(None)
    return (server, int.from_bytes(process, "big")) if len(process) == 8 else None


def main(address: str, python: str, *words: str) -> None:
    """Become the script, one way or the other."""
    # They wait until there is one to pass them on to.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    fork = None
    if "".join(words[:1]).endswith(".py") and os.environ.get("OMP_NUM_THREADS") == THREADS:
        fork = forked(address, list(words))
    if fork is None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.execv(python, [python, *words])
    server, process = fork

    def pass_on(number, frame):
        # A fork has no terminal, and without one the milder signal does not stop.
        stop = number == signal.SIGTSTP
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGSTOP if stop else number)
        if stop:
            os.kill(os.getpid(), signal.SIGSTOP)

    for number in PASSED_ON:
        signal.signal(number, pass_on)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    # Without a word: it was killed, and there is no server any more to say how.
    sys.exit((server.recv(1) or bytes([128 + signal.SIGKILL]))[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
