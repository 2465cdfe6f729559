"""A product of two matrices by its factors: what a circuit does, without the matrix that it is."""

from functools import cached_property
from typing import NamedTuple

import numpy as np


class SVD(NamedTuple):
    """`U diag(S) Vᵀ`, the largest singular value first."""

    U: np.ndarray
    """(l, k)."""
    S: np.ndarray
    """(k)."""
    Vh: np.ndarray
    """(k, r)."""


class FactoredMatrix:
    """A B of A (l, m) and B (m, r), float64; as that of TransformerLens and ViT-Prisma, whatever is the least of the sizes.

    All that it computes is of size min(l, m) × min(m, r) at most; `dense` alone multiplies the factors.
    """

    __array_ufunc__ = None
    """An array to the left leaves the product to `__rmatmul__`."""

    def __init__(self, A: np.ndarray, B: np.ndarray):
        """Raises ValueError unless the factors fit."""
        if A.ndim != 2 or B.ndim != 2 or A.shape[1] != B.shape[0]:
            raise ValueError(f"factors of shapes {A.shape} and {B.shape}")
        self.A, self.B = A.astype(np.float64), B.astype(np.float64)

    @property
    def shape(self) -> tuple[int, int]:
        """Of the product."""
        return self.A.shape[0], self.B.shape[1]

    @property
    def dense(self) -> np.ndarray:
        """The product itself (l, r)."""
        return self.A @ self.B

    @cached_property
    def _core(self) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """C (≤ m, ≤ m), Q_A and Q_B with orthonormal columns, such that A B = Q_A C Q_Bᵀ; None for the identity."""
        (l, m), r = self.A.shape, self.B.shape[1]
        left, first = np.linalg.qr(self.A) if l > m else (None, self.A)
        right, second = np.linalg.qr(self.B.T) if r > m else (None, self.B.T)
        return first @ second.T, left, right

    @cached_property
    def svd(self) -> SVD:
        """Thin, of rank min(l, m, r) at most."""
        core, left, right = self._core
        U, S, Vh = np.linalg.svd(core, full_matrices=False)
        return SVD(U if left is None else left @ U, S, Vh if right is None else Vh @ right.T)

    @cached_property
    def singular_values(self) -> np.ndarray:
        """(min(l, m, r)), descending."""
        return np.linalg.svd(self._core[0], compute_uv=False)

    @cached_property
    def eigenvalues(self) -> np.ndarray:
        """(min(l, m)) complex, by size, of a square product: those of A B that are not 0 are those of B A."""
        if self.shape[0] != self.shape[1]:
            raise ValueError(f"a matrix of shape {self.shape} has no eigenvalues")
        small = self.B @ self.A if self.A.shape[1] < self.shape[0] else self.dense
        found = np.linalg.eigvals(small)
        return found[np.argsort(-np.abs(found), kind="stable")]

    @property
    def norm(self) -> float:
        """Frobenius."""
        return float(np.linalg.norm(self.singular_values))

    @property
    def T(self) -> "FactoredMatrix":
        """The transpose."""
        return FactoredMatrix(self.B.T, self.A.T)

    def __matmul__(self, other: "np.ndarray | FactoredMatrix") -> "FactoredMatrix":
        """The product with what stands to its right; the narrower of the middles is kept."""
        if isinstance(other, FactoredMatrix):
            middle = self.B @ other.A
            if middle.shape[0] > middle.shape[1]:
                return FactoredMatrix(self.A @ middle, other.B)
            return FactoredMatrix(self.A, middle @ other.B)
        return FactoredMatrix(self.A, self.B @ other)

    def __rmatmul__(self, other: np.ndarray) -> "FactoredMatrix":
        """The product with what stands to its left."""
        return FactoredMatrix(other @ self.A, self.B)

    @property
    def positive(self) -> float | None:
        """Σ Re λ / Σ |λ| of the eigenvalues, from −1 to 1 (Elhage et al. 2021): 1, what it reads it copies; None of zeros."""
        size = float(np.abs(self.eigenvalues).sum())
        return float(self.eigenvalues.real.sum()) / size if size else None
