"""The shape of an SAE: the map that its encoder and decoder are together, and whether its decoder rows come in clusters."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crosslens.geometry.clusters import cluster_rows
from crosslens.geometry.decoder import WEIGHTS, read_weights
from crosslens.geometry.factored import FactoredMatrix
from crosslens.geometry.spectrum import spread
from crosslens.store.digests import content_digest
from crosslens.tables.documents import read_table, write_json


def measure_dictionary(
    *, sae: Path, site: str, features: dict[str, Path], effects: dict[str, Path], seed: int, out: Path
) -> None:
    """Write JSON of kind `dictionary`: the spectrum of W_enc W_dec, and clusters of decoder rows with their gender effect.

    features, effects: language → parquet of kinds `features` and `gender_effects` (none where gender is not asked for).
    Clusters are of the features that fire on some token of a language: a row that never fires is where it was put at the start.
    Their effects are those of select beside those of test: features of one cluster fire on the same images and share
    their noise, so that the one alone says nothing.
    """
    W_enc, W_dec = read_weights(sae, "W_enc", "W_dec")
    live = np.zeros(len(W_dec), dtype=bool)
    for path in features.values():
        live |= read_table(path, "features", ["live"])["live"].to_numpy()
    ids = np.flatnonzero(live)
    document = {
        "site": site,
        "sae": content_digest(sae / WEIGHTS),
        "d_model": W_dec.shape[1],
        "d_sae": len(W_dec),
        "seed": seed,
        "matrix": described_matrix(FactoredMatrix(W_enc, W_dec)),
        "clusters": _clusters(W_dec[ids], ids, effects, seed),
    }
    write_json(out, "dictionary", document)


def described_matrix(matrix: FactoredMatrix) -> dict[str, Any]:
    """Norm, largest singular value, spread of the squared singular values and, of a square one, `positive`."""
    return {
        "norm": matrix.norm,
        "largest": float(matrix.singular_values[0]),
        **spread(np.square(matrix.singular_values)),
        "positive": matrix.positive,
    }


def _clusters(rows: np.ndarray, ids: np.ndarray, effects: dict[str, Path], seed: int) -> dict[str, Any]:
    """What `clusters` of the document says; `number` is None where there are too few rows."""
    found = cluster_rows(rows, seed=seed)
    told = {"features": len(ids), "number": None, "p": None, "stability": [], "of": []}
    if found is None:
        return told
    tables = {language: read_table(path, "gender_effects") for language, path in effects.items()}
    of = []
    for cluster in range(found.number):
        members = ids[found.of == cluster]
        of.append(
            {
                "features": len(members),
                "effects": [
                    {"language": language, **effect}
                    for language, table in tables.items()
                    for effect in _effects(table[table["feature"].isin(members)])
                ],
            }
        )
    return told | {"number": found.number, "p": found.p, "stability": found.stability, "of": of}


def _effects(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Mean d of the features live on either split, by condition, on both."""
    rows = []
    for condition, own in table.groupby("condition", sort=False):
        means, numbers = {}, {}
        for split in ("select", "test"):
            d = own["d"][(own["split"] == split) & own["live"]].to_numpy(np.float64)
            d = d[np.isfinite(d)]
            means[split], numbers[split] = (float(d.mean()) if len(d) else None), len(d)
        rows.append(
            {"condition": condition, "live": numbers["test"], "d_select": means["select"], "d": means["test"]}
        )
    return rows
