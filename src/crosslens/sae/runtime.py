"""What training asks of the process: fast products, deterministic kernels, an orderly end."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import torch


def bfloat16_is_faster(device: torch.device) -> bool:
    """Whether a bfloat16 product beats a float32 one by a third there."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and bfloat16_gain() > 4 / 3


@cache
def bfloat16_gain() -> float:
    """How many times as quick as a float32 product a bfloat16 one is on the CPU.

    The answer is a machine's, not a study's nor the moment's: the product has one fixed size, and what is measured is
    the processor time of one thread. Several would wait for one another where other work runs. Best of five.
    """
    x, W, threads = torch.ones(512, 512), torch.ones(2048, 512), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        exact = _best_of_five(lambda: x @ W.T)
        return exact / _best_of_five(lambda: x.bfloat16() @ W.bfloat16().T)
    finally:
        torch.set_num_threads(threads)


def _best_of_five(work: Callable[[], object]) -> float:
    def seconds() -> float:
        began = time.thread_time()
        work()
        return time.thread_time() - began

    work()
    return min(seconds() for _ in range(5))


@contextmanager
def reproducible() -> Iterator[None]:
    """Only deterministic kernels inside."""
    # read by cuBLAS when it starts; without it torch refuses deterministic products on CUDA
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.utils.deterministic.fill_uninitialized_memory = filled


@contextmanager
def until_terminated() -> Iterator[threading.Event]:
    """An event that SIGTERM sets instead of ending the process. Only the main thread can catch signals."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: event.set())
    try:
        yield event
    finally:
        signal.signal(signal.SIGTERM, before)
