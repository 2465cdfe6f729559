"""What training asks of the process, and that it is given back."""

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

import pytest
import torch

from crosslens.memory import memory_kept
from crosslens.sae import runtime
from crosslens.sae.runtime import bfloat16_gain, bfloat16_is_faster, reproducible, until_terminated

LARGE = 256 << 20
"""More than glibc ever keeps for itself of its own accord."""


class MallInfo(ctypes.Structure):
    """glibc's mallinfo2: sizes in bytes."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    ]


def taken_from_the_system() -> bool:
    """Whether a large piece of memory is mapped on its own, to be handed back when it is freed."""
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype, libc.malloc.restype = MallInfo, ctypes.c_void_p
    before = libc.mallinfo2().hblkhd
    piece = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(LARGE)))
    mapped = libc.mallinfo2().hblkhd - before
    libc.free(piece)
    return mapped >= LARGE


def taken_before_inside_and_after() -> list[bool]:
    found = [taken_from_the_system()]
    with memory_kept():
        found.append(taken_from_the_system())
    found.append(taken_from_the_system())
    with suppress(KeyError), memory_kept():
        raise KeyError
    return [*found, taken_from_the_system()]


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="of glibc alone"
)
def test_memory_is_kept_inside_and_given_back_outside():
    # in a process whose memory no earlier test has grown
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(taken_before_inside_and_after) == [True, False, True, True]


@pytest.fixture
def unasked():
    """No answer of this process is known yet, and none of the test's stays."""
    bfloat16_gain.cache_clear()
    yield
    bfloat16_gain.cache_clear()


@pytest.mark.parametrize(
    ("seconds", "faster"), [((1.0, 0.5), True), ((1.0, 0.8), False), ((1.0, 2.0), False)]
)
def test_bfloat16_is_faster_where_it_gains_a_third_and_is_asked_once(unasked, monkeypatch, seconds, faster):
    """The answer is the machine's: no size of a study goes in, and it is measured once."""
    timed = []
    monkeypatch.setattr(runtime, "_best_of_five", lambda work: timed.append(work) or seconds[len(timed) - 1])
    cpu = torch.device("cpu")
    assert [bfloat16_is_faster(cpu) for _ in range(3)] == [faster] * 3
    assert len(timed) == 2


def test_other_work_on_the_machine_does_not_change_whether_bfloat16_is_faster(unasked):
    """With a thread for each processor, a busy machine would have both products wait for one another equally long."""
    alone, threads = bfloat16_is_faster(torch.device("cpu")), torch.get_num_threads()
    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))
    ]
    try:
        torch.set_num_threads(os.cpu_count() or 1)
        for _ in range(3):
            bfloat16_gain.cache_clear()
            assert bfloat16_is_faster(torch.device("cpu")) == alone
            assert torch.get_num_threads() == (os.cpu_count() or 1)
    finally:
        torch.set_num_threads(threads)
        for process in busy:
            process.kill()
            process.wait()


def test_bfloat16_is_of_no_use_where_single_float32_values_cannot_be_had(unasked, monkeypatch):
    """Not on a CPU nor on CUDA."""
    monkeypatch.setattr(runtime, "_best_of_five", lambda work: pytest.fail("nothing to measure"))
    assert not bfloat16_is_faster(torch.device("mps"))


def test_deterministic_kernels_are_asked_for_inside_only():
    def state():
        return (
            torch.are_deterministic_algorithms_enabled(),
            torch.utils.deterministic.fill_uninitialized_memory,
        )

    before = state()
    with reproducible():
        assert state() == (True, False)
    assert state() == before


def test_sigterm_is_noted_inside_and_what_caught_it_before_is_restored():
    before = signal.getsignal(signal.SIGTERM)
    with until_terminated() as terminated:
        assert not terminated.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        assert terminated.wait(10)
    assert signal.getsignal(signal.SIGTERM) is before


def test_training_in_a_thread_leaves_signals_alone():
    found = []

    def work():
        with until_terminated() as terminated:
            found.append(terminated.is_set())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]
