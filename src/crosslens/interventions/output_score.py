"""Does the model say what a feature promotes, once the feature is amplified (2505.20063)?"""

from pathlib import Path

import numpy as np
import torch

from crosslens.features.promote import added_logits
from crosslens.models.head import Head
from crosslens.models.hooks import capture, edit
from crosslens.models.inputs import Sample, build_inputs
from crosslens.models.load import LoadedModel
from crosslens.sae.model import SAE

PROMOTED = 20
"""Tokens of a feature's logit lens."""
AMPLIFIED = 10.0
"""Times the feature's 99th percentile, added to every edited position of the neutral prompt."""


@torch.no_grad()
def output_scores(
    loaded: LoadedModel,
    site: str,
    sae: SAE,
    features: np.ndarray,
    high: np.ndarray,
    neutral: Sample,
    *,
    roles: tuple[str, ...],
    images: Path | None,
    batch: int,
) -> np.ndarray:
    """(features) S_out = (1 − min rank of T / |V|) · max P(T); T the PROMOTED tokens of the feature's logit lens.

    neutral: a prompt without a caption, or a text alone; rank (0 of the likeliest) and P at its last position. high: (F).
    """
    head, last = Head(loaded), str(len(loaded.adapter.blocks) - 1)
    scores = []
    for start in range(0, len(features), batch):
        own = torch.from_numpy(features[start : start + batch])
        rows = sae.W_dec[own.to(sae.W_dec.device)].float()
        level = torch.from_numpy(high[own.numpy()]).to(rows)
        bare = not neutral.prompt and not neutral.image
        inputs = build_inputs(loaded, [neutral] * len(own), images=images, with_caption=bare)
        mask = inputs.has_role([*roles, "caption"] if bare else roles)[..., None]
        added = (AMPLIFIED * level[:, None] * rows)[:, None].to(loaded.device)
        with (
            edit(loaded, site, lambda x, mask=mask, added=added: (x.float() + mask * added).to(x.dtype)),
            capture(loaded, [last], stop=True) as captured,
        ):
            loaded.model(**inputs.inputs, use_cache=False)
        told = head(captured[last][:, -1]).softmax(-1)
        promoted = (
            added_logits(head, rows.to(loaded.device)).topk(min(PROMOTED, told.shape[1]), dim=1).indices
        )
        p = told.gather(1, promoted)
        best = p.max(dim=1).values
        rank = (told > best[:, None]).sum(dim=1)
        scores.append(((1 - rank / told.shape[1]) * best).double().cpu().numpy())
    return np.concatenate(scores) if scores else np.empty(0)
