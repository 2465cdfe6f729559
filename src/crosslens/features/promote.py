"""Which tokens does a feature promote, and which does it suppress? Its decoder row through the model's own head."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from crosslens.features.encode import check_model
from crosslens.models.head import Head
from crosslens.models.load import load_model
from crosslens.models.vocabulary import known_ids, token_text
from crosslens.progress import Progress
from crosslens.sae.io import check_site, check_width, load_sae, sae_digest
from crosslens.tables.documents import write_json, write_table

COUNT = 20
"""Tokens of each side."""
LOGITS = 1 << 24
"""Made at a time, whatever the sizes of vocabulary and SAE: 64 MiB, and a few times that for their order."""
SIDES = {"promoted": True, "suppressed": False}
"""Whether the largest logits are a side's."""


@torch.inference_mode()
def promote_tokens(*, model: dict[str, Any], saes: Sequence[dict[str, Path]], site: str) -> None:
    """Write, for each of `saes` (`sae`, its folder, `out_table` and `out`), the tokens that its features write for and against.

    The logit lens of decoder rows, see `added_logits`: a table of kind promoted_tokens, COUNT rows a feature and side, and
    JSON of kind promoted. A feature whose row is 0 has none. The model (keyword arguments of load_model) is loaded once.
    Raises InputError where an SAE is of another site, model or width.
    """
    loaded = load_model(**model)
    head = Head(loaded)
    vocabulary = added_logits(head, torch.zeros(1, loaded.d_model, device=loaded.device)).shape[1]
    known = known_ids(loaded.tokenizer, vocabulary)
    for each in saes:
        check_site(each["sae"], site)
        check_model(each["sae"], loaded.name, model.get("revision"))
        sae = load_sae(each["sae"])
        check_width(sae, loaded.d_model, each["sae"])
        table = pd.concat(
            list(tables(head, sae.W_dec.to(loaded.device), known, vocabulary)), ignore_index=True
        )
        pieces = loaded.tokenizer.convert_ids_to_tokens(ids := table["token_id"].unique().tolist())
        texts = {id: token_text(loaded.tokenizer, piece) for id, piece in zip(ids, pieces, strict=True)}
        write_table(each["out_table"], "promoted_tokens", table.assign(token=table["token_id"].map(texts)))
        document = {"sae": sae_digest(each["sae"]), "site": site, "model": loaded.name}
        document |= {"d_sae": sae.d_sae, "features": int(table["feature"].nunique())}
        write_json(each["out"], "promoted", document | {"tokens": len(known), "count": COUNT})


def added_logits(head: Head, directions: Tensor) -> Tensor:
    """(n, vocabulary) float32: what directions (n, d) add to the logits, read as the residual stream of the last block.

    Final norm, its scale and the unembedding are the model's: L(√d · u / ‖u‖) − L(0), of a root mean square of 1 as the norm
    gives it. L(0) is what is there without any direction (the biases of a LayerNorm and of an unembedding). Without the
    softcap, which keeps the order of tokens and would tie the largest.
    """
    lengths = directions.norm(dim=1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
    unit = directions / lengths * directions.shape[1] ** 0.5
    return head.uncapped(unit) - head.uncapped(torch.zeros_like(directions[:1]))


def tables(head: Head, W_dec: Tensor, known: Tensor, vocabulary: int) -> Iterator[pd.DataFrame]:
    """Rows (feature, side, rank, token_id, logit), block by block.

    W_dec: (F, d) float32; known: (V) the ids, of so many in the `vocabulary`, that a tokenizer can name.
    """
    step, count = max(1, LOGITS // vocabulary), min(COUNT, len(known))
    progress = Progress("promoted tokens", len(W_dec), "features")
    for start in range(0, len(W_dec), step):
        rows = W_dec[start : start + step]
        living = rows.any(dim=1)
        features = start + torch.nonzero(living).squeeze(1).cpu()
        logits = added_logits(head, rows[living])
        logits = logits if len(known) == vocabulary else logits[:, known.to(logits.device)]
        for side, largest in SIDES.items():
            values, places = logits.topk(count, dim=1, largest=largest)
            yield pd.DataFrame(
                {
                    "feature": np.repeat(features.numpy(), count),
                    "side": side,
                    "rank": np.tile(np.arange(1, count + 1), len(features)),
                    "token_id": known[places.cpu()].numpy().ravel(),
                    "logit": values.cpu().numpy().ravel(),
                }
            )
        progress.update(len(rows))
