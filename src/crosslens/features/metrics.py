"""Streaming metrics in double precision: `update` with blocks, `merge` partial results, then `compute`."""

from typing import Self

import numpy as np

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
DENSITY_EDGES = tuple(float(edge) for edge in np.arange(-7.0, 0.25, 0.25))
"""Bin edges of log10 firing frequency: 10^-7 to 1, four bins a decade."""


class ReconstructionSums:
    """Explained variance and cosine of a reconstruction (methods 4).

    `EV = 1 - sum |x - x_hat|^2 / (sum |x|^2 - |sum x|^2 / N)`, `FVU = 1 - EV`: a constant offset counts as
    error, and the mean of the same tokens has EV 0.
    """

    def __init__(self, d_model: int):
        self.n = 0
        self.sum_x = np.zeros(d_model)
        self.sum_x2 = self.sum_error2 = self.sum_cosine = 0.0

    def update(self, x: np.ndarray, x_hat: np.ndarray) -> None:
        """Count rows of x (B, d) and their reconstruction (B, d)."""
        x, x_hat = np.asarray(x, dtype=np.float64), np.asarray(x_hat, dtype=np.float64)
        if x.shape != x_hat.shape or x.shape[1] != len(self.sum_x):
            raise ValueError(f"x {x.shape} and x_hat {x_hat.shape} must be (B, {len(self.sum_x)})")
        x2, x_hat2 = np.einsum("bd,bd->b", x, x), np.einsum("bd,bd->b", x_hat, x_hat)
        error = x - x_hat
        length = np.sqrt(x2 * x_hat2)
        dot = np.einsum("bd,bd->b", x, x_hat)
        self.n += len(x)
        self.sum_x += x.sum(axis=0)
        self.sum_x2 += float(x2.sum())
        self.sum_error2 += float(np.einsum("bd,bd->", error, error))
        self.sum_cosine += float(np.divide(dot, length, out=np.zeros_like(dot), where=length > 0).sum())

    def merge(self, other: Self) -> None:
        """Add the sums of `other`, which saw other rows."""
        self.n += other.n
        self.sum_x = self.sum_x + other.sum_x
        self.sum_x2 += other.sum_x2
        self.sum_error2 += other.sum_error2
        self.sum_cosine += other.sum_cosine

    def compute(self) -> dict[str, float | None]:
        """`ev`, `fvu` (None where x does not vary), `cosine` (a zero vector counts as 0), `mse` per token."""
        if self.n == 0:
            return {"ev": None, "fvu": None, "cosine": None, "mse": None}
        variance = self.sum_x2 - float(self.sum_x @ self.sum_x) / self.n
        varies = variance > 1e-12 * self.sum_x2
        fvu = self.sum_error2 / variance if varies else None
        return {
            "ev": None if fvu is None else 1.0 - fvu,
            "fvu": fvu,
            "cosine": self.sum_cosine / self.n,
            "mse": self.sum_error2 / self.n,
        }


class L0Counts:
    """How many features fire on a token: the exact distribution, kept as a histogram."""

    def __init__(self) -> None:
        self.histogram = np.zeros(1, dtype=np.int64)

    def update(self, l0: np.ndarray) -> None:
        """Count tokens with l0 (B) firing features each."""
        self._add(np.bincount(np.asarray(l0, dtype=np.int64)))

    def merge(self, other: Self) -> None:
        """Add the histogram of `other`, which saw other tokens."""
        self._add(other.histogram)

    def _add(self, histogram: np.ndarray) -> None:
        total = np.zeros(max(len(self.histogram), len(histogram)), dtype=np.int64)
        total[: len(self.histogram)] += self.histogram
        total[: len(histogram)] += histogram
        self.histogram = total

    def compute(self) -> dict:
        """`mean` and `quantiles` (key = probability; the smallest L0 with that share at or below it)."""
        n = int(self.histogram.sum())
        if n == 0:
            return {"mean": None, "quantiles": {f"{q:g}": None for q in QUANTILES}}
        cumulated = np.cumsum(self.histogram)
        at = {f"{q:g}": int(np.searchsorted(cumulated, max(q * n, 1))) for q in QUANTILES}
        return {"mean": float(np.arange(len(self.histogram)) @ self.histogram / n), "quantiles": at}


class FiringCounts:
    """On how many tokens each feature fires."""

    def __init__(self, d_sae: int):
        self.tokens = 0
        self.counts = np.zeros(d_sae, dtype=np.int64)

    def update(self, indices: np.ndarray, tokens: int) -> None:
        """Count the features that fire (any shape, one entry a firing) on `tokens` further tokens."""
        self.tokens += tokens
        self.counts += np.bincount(np.asarray(indices).ravel(), minlength=len(self.counts))

    def merge(self, other: Self) -> None:
        """Add the counts of `other`, which saw other tokens."""
        self.tokens += other.tokens
        self.counts = self.counts + other.counts

    def compute(self) -> dict:
        """Live and dead features (dead = fired on no token seen), histogram of log10 firing frequency."""
        live = int(np.count_nonzero(self.counts))
        d_sae = len(self.counts)
        frequency = self.counts[self.counts > 0] / max(self.tokens, 1)
        log10 = np.clip(np.log10(frequency), DENSITY_EDGES[0], DENSITY_EDGES[-1])
        return {
            "live": live,
            "dead": d_sae - live,
            "live_percent": 100 * live / d_sae,
            "dead_percent": 100 * (d_sae - live) / d_sae,
            "density": {
                "log10_edges": list(DENSITY_EDGES),
                "counts": np.histogram(log10, bins=DENSITY_EDGES)[0].tolist(),
            },
        }
