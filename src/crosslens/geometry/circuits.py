"""The circuits of every attention head: what it moves (OV) and what it compares (QK), by their factors."""

from pathlib import Path
from typing import Any

from crosslens.geometry.dictionary import described_matrix
from crosslens.geometry.factored import FactoredMatrix
from crosslens.models.load import load_model
from crosslens.tables.documents import write_json


def measure_circuits(*, model: dict[str, Any], out: Path) -> None:
    """Write JSON of kind `circuits`: norm, spread and eigenvalues of W_V W_O and of W_Q W_Kᵀ of each head (see models.heads).

    model: arguments of load_model; only its weights are read. Where a family's adapter does not say where its heads are,
    or a block has none (cross-attention), `not_available` says so.
    """
    loaded = load_model(**model)
    family = loaded.adapter.text_config.model_type
    heads, without = [], []
    for layer, block in enumerate(loaded.adapter.blocks):
        if (found := loaded.adapter.heads(block)) is None:
            without.append(layer)
            continue
        q, k, v, o = (part.double().cpu().numpy() for part in found)
        for head in range(len(q)):
            kv = found.kv(head)
            heads.append(
                {
                    "layer": layer,
                    "head": head,
                    "kv_head": kv,
                    "ov": described_matrix(FactoredMatrix(v[kv], o[head])),
                    "qk": described_matrix(FactoredMatrix(q[head], k[kv].T)),
                }
            )
    document = {
        "model": loaded.name,
        "family": family,
        "layers": loaded.n_layers,
        "d_model": loaded.d_model,
        "d_head": q.shape[2] if heads else None,
        "not_available": without,
        "heads": heads,
    }
    write_json(out, "circuits", document)
