"""Progress of long work as log lines, so that it can be read in a terminal and in a cluster's log alike."""

import logging
import time

log = logging.getLogger("crosslens.progress")


class Progress:
    """Logs `title: done/total unit (percent), rate, time left`, at most every `every` seconds and at the end.

    `start` is what an earlier, killed run had already done: it counts as done but not towards the rate.
    """

    def __init__(self, title: str, total: int, unit: str, *, start: int = 0, every: float = 5.0):
        self.title, self.total, self.unit, self.every = title, total, unit, every
        self.done = self.start = start
        self.began = self.last = time.monotonic()
        log.info("%s: %s of %s %s", title, f"{start:,}", f"{total:,}", unit)

    def update(self, amount: int, **fields: float) -> None:
        """Count `amount` more as done; `fields` are shown behind (a loss, a learning rate)."""
        self.done += amount
        now = time.monotonic()
        if self.done < self.total and now - self.last < self.every:
            return
        self.last = now
        rate = (self.done - self.start) / max(now - self.began, 1e-9)
        left = (self.total - self.done) / rate if rate else float("inf")
        shown = "".join(f", {name} {value:.4g}" for name, value in fields.items())
        log.info(
            "%s: %s of %s %s (%.0f %%), %s %s/s, %.0f s left%s",
            self.title,
            f"{self.done:,}",
            f"{self.total:,}",
            self.unit,
            100 * self.done / max(self.total, 1),
            f"{rate:,.0f}",
            self.unit,
            left,
            shown,
        )
