"""What an SAE must beat: reconstructions fitted on train tokens that know nothing of sparse features."""

import numpy as np
import torch
from scipy.sparse import csr_array


class Covariance:
    """Streaming mean and covariance in double precision; sums are taken around the first block's mean."""

    def __init__(self) -> None:
        self.n = 0
        self.shift: np.ndarray | None = None

    def update(self, x: np.ndarray) -> None:
        """Count rows x (B, d)."""
        x = np.asarray(x, dtype=np.float64)
        if self.shift is None:
            self.shift = x.mean(axis=0)
            self.sum_x = np.zeros(x.shape[1])
            self.sum_xx = np.zeros((x.shape[1], x.shape[1]))
        centred = x - self.shift
        self.n += len(x)
        self.sum_x += centred.sum(axis=0)
        self.sum_xx += centred.T @ centred

    def mean(self) -> np.ndarray:
        """(d) float64."""
        return self.shift + self.sum_x / self.n

    def components(self, rank: int) -> np.ndarray:
        """(d, rank) float64: the eigenvectors of the covariance (ddof 0) with the largest eigenvalues."""
        mean = self.sum_x / self.n
        _, vectors = np.linalg.eigh(self.sum_xx / self.n - np.outer(mean, mean))
        return vectors[:, ::-1][:, :rank]


class PCA:
    """x_hat = mean + V V^T (x - mean), V the `rank` leading principal components of the train tokens."""

    def __init__(self, covariance: Covariance, rank: int):
        self.mean, self.V = covariance.mean(), covariance.components(rank)

    def reconstruct(self, x: np.ndarray) -> np.ndarray:
        """x (B, d) to x_hat (B, d) float64."""
        return self.mean + (x - self.mean) @ self.V @ self.V.T


class RandomDictionary:
    """d_sae random unit directions; a token is explained by the k it projects on most, in absolute value.

    The coefficients of the k chosen directions are the least-squares ones, signs free: the best a dictionary that
    learned nothing can do with k directions chosen this way. The mean of the train tokens is added as a bias.
    """

    def __init__(self, mean: np.ndarray, *, d_sae: int, k: int, seed: int):
        directions = np.random.default_rng(seed).standard_normal((d_sae, len(mean)))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        self.mean, self.k = mean, min(k, d_sae)
        self.D = torch.from_numpy(directions.astype(np.float32))

    def reconstruct(self, x: np.ndarray) -> np.ndarray:
        """x (B, d) to x_hat (B, d) float64."""
        centred = torch.from_numpy(np.asarray(x - self.mean, dtype=np.float32))
        rows = max(1, (1 << 23) // (self.k * centred.shape[1]))
        explained = torch.cat([self._explain(block) for block in centred.split(rows)])
        return self.mean + explained.double().numpy()

    def _explain(self, centred: torch.Tensor) -> torch.Tensor:
        projections = centred @ self.D.T
        chosen = projections.abs().topk(self.k, dim=1).indices
        atoms = self.D[chosen]
        gram = atoms @ atoms.transpose(1, 2)
        # the ridge only decides between equivalent solutions, when k reaches the width
        gram += 1e-5 * torch.eye(self.k)
        coefficients = torch.linalg.solve(gram, projections.gather(1, chosen).unsqueeze(2))
        return (coefficients.transpose(1, 2) @ atoms).squeeze(1)


class TokenMeans:
    """The mean train activation of each token id: what the identity of the token alone tells.

    Only ids in `wanted` are kept, so that memory is bounded by the ids that will be asked for.
    """

    def __init__(self, wanted: np.ndarray, d_model: int):
        self.ids = np.unique(wanted)
        self.sums = np.zeros((len(self.ids), d_model))
        self.counts = np.zeros(len(self.ids), dtype=np.int64)

    def _index(self, token_id: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        index = np.minimum(np.searchsorted(self.ids, token_id), max(len(self.ids) - 1, 0))
        return index, self.ids[index] == token_id

    def update(self, token_id: np.ndarray, x: np.ndarray) -> None:
        """Count rows x (B, d) of tokens with these ids (B)."""
        index, known = self._index(token_id)
        columns = np.arange(int(known.sum()))
        rows = csr_array(
            (np.ones(len(columns)), (index[known], columns)), shape=(len(self.ids), len(columns))
        )
        self.sums += rows @ x[known].astype(np.float64)
        self.counts += np.bincount(index[known], minlength=len(self.ids))

    def seen(self, token_id: np.ndarray) -> np.ndarray:
        """(B) bool: ids that some train token has."""
        return self.counts[self._index(token_id)[0]] > 0

    def reconstruct(self, token_id: np.ndarray, fallback: np.ndarray) -> np.ndarray:
        """(B, d) float64: the mean of each id, or `fallback` (d) where no train token has it."""
        index, _ = self._index(token_id)
        counts = self.counts[index][:, None]
        return np.where(counts > 0, self.sums[index] / np.maximum(counts, 1), fallback)
