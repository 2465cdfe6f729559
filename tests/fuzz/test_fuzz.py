"""`pytest -m fuzz`: whatever a file has become, its reader says a right answer or one line, soon, and in little memory."""

import faulthandler
import json
import os
import random
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from model_targets import MODELS
from target import AcceptedDamage, Target
from targets import TARGETS

from crosslens.errors import InputError, InputErrors

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc, and limited")
INPUTS = int(os.environ.get("CROSSLENS_FUZZ_INPUTS", "1200"))
"""Of each target."""
SEED = int(os.environ.get("CROSSLENS_FUZZ_SEED", "12"))
SECONDS = 10
MEMORY = 4, 64 << 20
"""Bytes for each of the file's, and beside."""
HANG = "no answer within 10 s"


def _memory(name: str) -> int:
    """Bytes of this process: VmRSS, or VmHWM, the most since `_memory_from_here`. Linux."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) << 10


def _memory_from_here() -> int:
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def _fault(target: Target, whole: bytes, seed: str) -> str | None:
    """What is wrong with how one input is answered."""
    data = target.mutate(whole, random.Random(seed))
    if data == whole:
        return None
    target.file.unlink(missing_ok=True)
    target.file.write_bytes(data)
    before = _memory_from_here()
    signal.alarm(SECONDS)
    try:
        target.read()
    except InputError as error:
        told = error.errors if isinstance(error, InputErrors) else [error]
        if any("\n" in str(each).strip() for each in told):
            return f"more than one line: {str(error)[:200]!r}"
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return (
            f"{type(error).__name__}: {str(error)[:200]} ({where.filename.rsplit('/', 1)[-1]}:{where.lineno})"
        )
    finally:
        signal.alarm(0)
    used = _memory("VmHWM") - before
    allowed = MEMORY[0] * (len(data) + target.beside) + MEMORY[1]
    return f"{used >> 20} MiB for {len(data)} bytes" if used > allowed else None


def _worker(make: Callable[[Path], Target], folder: Path, seeds: list[str], told: Path) -> None:
    """In a child: a line for each seed before it is tried, and its fault behind it."""
    folder.mkdir()
    target = make(folder)
    whole = target.file.read_bytes()
    with suppress(AcceptedDamage):  # it is no damage yet
        target.read()  # what is whole is read; and what a first read brings into memory is there
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_memory("VmSize") + (4 << 30), most))  # none takes this machine's
    with told.open("w") as lines:
        for seed in seeds:
            lines.write(json.dumps([seed, None]) + "\n")
            lines.flush()
            if fault := _fault(target, whole, seed):
                lines.write(json.dumps([seed, fault]) + "\n")
        lines.write(json.dumps(["", None]) + "\n")


def faults(make: Callable[[Path], Target], folder: Path, seeds: list[str]) -> dict[str, str]:
    """Seed to fault. A worker that ends by a signal is followed by one for the seeds that are left."""
    found, left = {}, seeds
    while left:
        place = folder / f"{len(left)}"
        told = folder / f"{len(left)}.jsonl"
        child = os.fork()
        if child == 0:
            try:
                warnings.simplefilter("ignore")
                faulthandler.disable()  # pytest's writes past stderr what looks like the suite's own crash
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
                _worker(make, place, left, told)
                os._exit(0)
            except BaseException:
                told.write_text(traceback.format_exc())
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or not status, told.read_text()  # what is whole is not read
        lines = [json.loads(line) for line in told.read_text().splitlines()]
        found |= {seed: fault for seed, fault in lines if fault}
        last = lines[-1][0]
        if not last:
            return found
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        found[last] = HANG if number == signal.SIGALRM else f"the process ended (signal {number})"
        left = left[left.index(last) + 1 :]
    return found


@pytest.mark.fuzz
@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_answers_whatever_the_file_has_become(name, tmp_path):
    seeds = [f"{name} {SEED} {number}" for number in range(INPUTS)]
    found = faults(TARGETS[name], tmp_path, seeds)
    print(f"{name}: {INPUTS} inputs, seeds '{seeds[0]}' to '{seeds[-1]}', {len(found)} faults")
    kinds = {}
    for seed, fault in found.items():
        kinds.setdefault(fault.rsplit("(", 1)[-1], (seed, fault))
    assert not found, "\n".join(f"{seed}: {fault}" for seed, fault in kinds.values())


@pytest.mark.parametrize("name", [name for name in TARGETS if name not in MODELS])
def test_what_is_whole_is_read(name, tmp_path):
    with suppress(AcceptedDamage):
        TARGETS[name](tmp_path).read()


def test_the_harness_finds_tracebacks_hangs_memory_and_accepted_damage(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "SECONDS", 1)

    def make(folder: Path) -> Target:
        file, kept = folder / "file", []
        file.write_bytes(bytes([5] * 8))

        def read() -> None:
            match file.read_bytes()[0]:
                case 0:
                    raise InputError("a", found="b", expected="c", mend="d")
                case 1:
                    raise ValueError
                case 2:
                    kept.append(bytes(b"x" * (200 << 20)))
                case 3:
                    while True:
                        pass
                case 4:
                    os.abort()

        return Target(file, lambda whole, chance: bytes([chance.randrange(5)]), read)

    found = faults(make, tmp_path, [f"{number}" for number in range(12)])
    first = {number: random.Random(f"{number}").randrange(5) for number in range(12)}
    assert {int(seed) for seed in found} == {number for number, kind in first.items() if kind}
    said = {first[int(seed)]: fault for seed, fault in found.items()}
    for kind, words in {1: "ValueError", 2: "MiB for 1 bytes", 3: HANG, 4: "signal 6"}.items():
        assert kind not in said or words in said[kind]
    assert len(said) >= 3
