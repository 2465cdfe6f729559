"""Work handed to threads, so that computing waits neither for the disk nor for the next batch."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(work: Callable[[T], R], items: Iterable[T], *, threads: int) -> Iterator[R]:
    """`work(item)` of every item, in their order, made by `threads` threads while the caller uses the one before.

    At most `threads` items are ahead of the caller's. An exception of `work` is raised in its place, and what is behind
    it dropped; so is what is ahead of a caller that stops.
    """
    waiting: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="crosslens-reader")
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


class Background:
    """Runs jobs one after the other on a thread of its own; `put` waits while `depth` jobs are waiting.

    An exception of a job ends the work and is raised by the next `put`, or on leaving the block. Leaving the block
    normally waits for all jobs; leaving it by an exception drops those that have not begun.
    """

    def __init__(self, depth: int):
        self._jobs: queue.Queue[tuple[Callable, tuple] | None] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._dropping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="crosslens-writer", daemon=True)

    def put(self, job: Callable, *args: Any) -> None:
        """Queue `job(*args)`."""
        self._raise_error()
        self._jobs.put((job, args))

    def __enter__(self) -> "Background":
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self._dropping.set()
        self._jobs.put(None)
        self._thread.join()
        if error is None:
            self._raise_error()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        # After an error jobs are still taken, so that nobody waits at a full queue for ever.
        while (item := self._jobs.get()) is not None:
            if self._error is None and not self._dropping.is_set():
                job, args = item
                try:
                    job(*args)
                except BaseException as error:
                    self._error = error
