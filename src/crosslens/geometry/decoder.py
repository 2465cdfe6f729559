"""Maps of the directions that an SAE writes: its decoder rows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import safe_open

from crosslens.geometry.maps import maps
from crosslens.store.digests import content_digest
from crosslens.tables.documents import write_json, write_table

WEIGHTS = "sae_weights.safetensors"


def read_weights(sae: Path, *names: str) -> list[np.ndarray]:
    """Float32 tensors of an SAE's folder."""
    with safe_open(sae / WEIGHTS, "numpy") as file:
        return [file.get_tensor(name) for name in names]


def embed_decoder(
    *, sae: Path, site: str, methods: Sequence[str], perplexity: float, seed: int, out_table: Path, out: Path
) -> None:
    """Maps of the decoder rows of an SAE, each brought to unit norm: near are rows that point the same way.

    out_table: parquet of kind `decoder_embedding`, one row a feature, with x and y of each method. out: JSON of kind
    `decoder_map`. Raises InputError for fewer features than a map needs.
    """
    (W_dec,) = read_weights(sae, "W_dec")
    norms = np.linalg.norm(W_dec, axis=1, keepdims=True)
    found = maps(W_dec / np.maximum(norms, 1e-12), methods, perplexity=perplexity, seed=seed)
    table = pd.DataFrame({"feature": np.arange(len(W_dec), dtype=np.int32)})
    found.placed(table)
    write_table(out_table, "decoder_embedding", table)
    document = {
        "site": site,
        "sae": content_digest(sae / WEIGHTS),
        "d_model": W_dec.shape[1],
        "d_sae": len(W_dec),
        "seed": seed,
        **found.described(),
    }
    write_json(out, "decoder_map", document)
