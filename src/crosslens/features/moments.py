"""Per-feature sums of sparse codes in several groups at once, in double precision."""

import numpy as np
import pandas as pd
from scipy.sparse import csr_array


class FeatureSums:
    """Counts, sums, squares and maxima of F features over tokens and over samples, in G disjoint groups."""

    def __init__(self, groups: int, d_sae: int):
        shape = (groups, d_sae)
        self.tokens, self.samples = np.zeros(groups, dtype=np.int64), np.zeros(groups, dtype=np.int64)
        self.fired, self.sample_fired = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        self.total, self.squares, self.maximum = (np.zeros(shape) for _ in range(3))
        self.sample_total, self.sample_squares = np.zeros(shape), np.zeros(shape)

    def update(
        self, block: csr_array, group: np.ndarray, sample_means: csr_array, sample_group: np.ndarray
    ) -> None:
        """Count token codes (B, F) in groups (B) and the means of their samples (s, F) in groups (s)."""
        key = self._keys(block, group)
        values = block.data.astype(np.float64)
        self.tokens += np.bincount(group, minlength=len(self.tokens))
        self.fired += self._sum(key)
        self.total += self._sum(key, values)
        self.squares += self._sum(key, values * values)
        np.maximum.at(self.maximum.reshape(-1), key, values)
        key = self._keys(sample_means, sample_group)
        means = sample_means.data.astype(np.float64)
        self.samples += np.bincount(sample_group, minlength=len(self.samples))
        self.sample_fired += self._sum(key)
        self.sample_total += self._sum(key, means)
        self.sample_squares += self._sum(key, means * means)

    def _keys(self, block: csr_array, group: np.ndarray) -> np.ndarray:
        return np.repeat(group, np.diff(block.indptr)) * self.fired.shape[1] + block.indices

    def _sum(self, key: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        return np.bincount(key, weights, minlength=self.fired.size).reshape(self.fired.shape)

    def compute(self, groups: np.ndarray) -> pd.DataFrame:
        """The statistics of the union of `groups` (indices), a row a feature; NaN where undefined.

        token_frequency, sample_frequency: share of tokens, and of samples, in which it fires (> 0).
        mean, std (ddof 0), max: over all tokens, a silent one counting 0. mean_active: over tokens in which it fires.
        selectivity: Treves-Rolls sparseness of the sample means, `1 - mean(r)^2 / mean(r^2)`: 0 = the same in all
        samples, near 1 = in few.
        """
        tokens, samples = int(self.tokens[groups].sum()), int(self.samples[groups].sum())
        fired, total = self.fired[groups].sum(axis=0), self.total[groups].sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = total / tokens
            variance = self.squares[groups].sum(axis=0) / tokens - mean * mean
            sample_mean = self.sample_total[groups].sum(axis=0) / samples
            sample_square = self.sample_squares[groups].sum(axis=0) / samples
            columns = {
                "token_frequency": fired / tokens,
                "sample_frequency": self.sample_fired[groups].sum(axis=0) / samples,
                "mean": mean,
                "mean_active": total / fired,
                "max": self.maximum[groups].max(axis=0, initial=0.0)
                if tokens
                else np.full(len(fired), np.nan),
                "std": np.sqrt(np.maximum(variance, 0.0)),
                "selectivity": 1 - sample_mean**2 / sample_square,
            }
        return pd.DataFrame(columns)
