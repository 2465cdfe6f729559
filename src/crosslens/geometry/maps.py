"""Points of many dimensions in the plane: PCA, t-SNE and, where it is installed, UMAP; each with its trustworthiness."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from openTSNE import TSNE
from openTSNE.initialization import rescale
from sklearn.decomposition import PCA

from crosslens.errors import InputError
from crosslens.geometry.neighbours import trustworthiness

KEPT = 50
"""Principal components that t-SNE and UMAP read, at most."""
NEIGHBOURS = 15
"""Of a point, that are looked at: in the trustworthiness, in UMAP and by their labels."""
FEWEST = 8
"""Points of which a map is drawn."""


class Maps(NamedTuple):
    """The maps of one set of n points."""

    shown: dict[str, np.ndarray]
    """Method → (n, 2) float32."""
    trust: list[dict[str, Any]]
    """Of each method: `method`, `trustworthiness` and `perplexity` (None but for t-SNE)."""
    components: int
    """Principal components that the others read."""
    explained: list[float]
    """Share of the variance that each of the first two components has."""
    kept: float
    """Share that all `components` have."""
    neighbours: int
    """Of the trustworthiness."""

    def placed(self, table: pd.DataFrame) -> None:
        """Give the table of the points, in their order, the columns `{method}_x` and `{method}_y`."""
        for method, shown in self.shown.items():
            table[f"{method}_x"], table[f"{method}_y"] = shown.T

    def described(self) -> dict[str, Any]:
        """What documents say of them."""
        return {
            "components": self.components,
            "explained": self.explained,
            "kept": self.kept,
            "neighbours": self.neighbours,
            "maps": self.trust,
        }


def maps(x: np.ndarray, methods: Sequence[str], *, perplexity: float, seed: int) -> Maps:
    """Maps of x (n, d) by `methods` ("pca", "tsne", "umap"); same input, seed and number of threads, same maps.

    t-SNE is openTSNE's (Barnes–Hut; from 10,000 points on by interpolation, with approximate neighbours). It and UMAP read
    the first KEPT principal components, and t-SNE starts from the first two. A perplexity of more than a third of the
    points is lowered to it. The trustworthiness is against x itself. Raises
    InputError for fewer than FEWEST points, and for UMAP where umap-learn is not installed.
    """
    n, d = x.shape
    if n < FEWEST:
        raise InputError(
            "a map", found=f"{n} points", expected=f"{FEWEST} or more", mend="ask for no embeddings"
        )
    model = PCA(n_components=min(KEPT, n - 1, d), random_state=seed)
    reduced = model.fit_transform(x.astype(np.float64))
    perplexity, k = min(perplexity, (n - 1) / 3), min(NEIGHBOURS, (n - 1) // 2)
    shown = {}
    for method in methods:
        if method == "pca":
            shown[method] = np.pad(reduced[:, :2], ((0, 0), (0, max(0, 2 - reduced.shape[1]))))
        elif method == "tsne":
            start = rescale(reduced[:, :2], inplace=False) if reduced.shape[1] > 1 else "random"
            tsne = TSNE(perplexity=perplexity, initialization=start, random_state=seed, n_jobs=1)
            shown[method] = np.asarray(tsne.fit(reduced))
        else:
            shown[method] = _umap(reduced, k, seed)
    shown = {method: found.astype(np.float32) for method, found in shown.items()}
    trust = [
        {
            "method": method,
            "trustworthiness": trustworthiness(x, found, k),
            "perplexity": float(perplexity) if method == "tsne" else None,
        }
        for method, found in shown.items()
    ]
    ratios = np.nan_to_num(model.explained_variance_ratio_)
    explained = [float(ratio) for ratio in np.pad(ratios, (0, 2))[:2]]
    return Maps(shown, trust, reduced.shape[1], explained, float(ratios.sum()), k)


def _umap(reduced: np.ndarray, k: int, seed: int) -> np.ndarray:
    try:
        from umap import UMAP
    except ImportError as error:
        raise InputError(
            "embeddings.methods",
            found="umap",
            expected="the package umap-learn",
            mend="pip install umap-learn, or leave umap out",
        ) from error
    return UMAP(n_neighbors=max(2, k), random_state=seed, n_jobs=1).fit_transform(reduced)
