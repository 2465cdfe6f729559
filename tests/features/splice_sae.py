"""An SAE to splice in whose effect is known."""

from pathlib import Path

import torch

from crosslens.sae.io import save_sae
from crosslens.sae.model import TopKSAE

SITE = "1"
"""Where mean-ablating the random model costs something."""


def save(folder: Path, sae: TopKSAE, site: str = SITE, model: str = "model") -> Path:
    identity = {"corpus": "joint", "site": site, "seed": 0, "model": model, "revision": None}
    save_sae(folder, sae, identity=identity)
    return folder


def perfect_sae(d: int) -> TopKSAE:
    """x = relu(x) - relu(-x): 2d features that reconstruct everything."""
    sae = TopKSAE(d, 2 * d, d)
    with torch.no_grad():
        sae.W_enc.copy_(torch.cat([torch.eye(d), -torch.eye(d)], dim=1))
        sae.W_dec.copy_(sae.W_enc.T)
    return sae
