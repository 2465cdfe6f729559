"""Memory that a process frees and soon asks for again, and how it lies."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# glibc's mallopt: what it names, and its defaults
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_DEFAULTS = {_TRIM_THRESHOLD: 128 << 10, _TOP_PAD: 128 << 10, _MMAP_MAX: 65536}
# Linux's madvise: huge pages for what is yet to be touched, and at once for what has been
_HUGE_PAGE, _ADVICE = 2 << 20, (14, 25)
_KEEP = {_TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 64 << 20, _MMAP_MAX: 0}


@contextmanager
def memory_kept() -> Iterator[None]:
    """Inside, freed memory stays with the process and serves the next step; then it goes back to the system.

    A step frees and asks again for tensors of megabytes. glibc takes each anew from the system, whose pages then have
    to be filled one by one: half of the time of an SAE's step at 2,560 → 20,480, and 5 % of a forward pass whose blocks
    are all captured. Elsewhere than on Linux: no effect.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not hasattr(libc, "mallopt"):
        yield
        return
    for option, value in _KEEP.items():
        libc.mallopt(option, value)
    try:
        yield
    finally:
        for option, value in _DEFAULTS.items():
            libc.mallopt(option, value)
        libc.malloc_trim(0)


def on_huge_pages(*tensors: "Tensor") -> None:
    """Ask that tensors on the CPU lie on pages of 2 MB, where Linux gives them to those who ask.

    Rows that are read at places all over a matrix of 200 MB each cost a walk through the page tables otherwise: in a
    virtual machine an eighth of the time. What is refused is left as it is.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    for tensor in tensors if libc is not None else ():
        first = -(-tensor.data_ptr() // _HUGE_PAGE) * _HUGE_PAGE
        size = (tensor.data_ptr() + tensor.nbytes) // _HUGE_PAGE * _HUGE_PAGE - first
        if tensor.device.type == "cpu" and size > 0:
            for advice in _ADVICE:
                libc.madvise(ctypes.c_void_p(first), ctypes.c_size_t(size), advice)
