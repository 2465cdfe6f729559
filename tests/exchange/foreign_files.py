"""Random SAEs in numpy, files as other tools write them, and the one comparison that every loader must pass."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from crosslens.sae.exchange.foreign import ForeignSAE

D, F, K = 6, 24, 4


def weights(seed: int = 0, d_out: int = D, **more: tuple[int, ...]) -> dict[str, np.ndarray]:
    """W_enc (D, F), W_dec (F, d_out), b_enc, b_dec, a threshold > 0, and tensors of the shapes in `more`."""
    rng = np.random.default_rng(seed)
    shapes = {"W_enc": (D, F), "W_dec": (F, d_out), "b_enc": (F,), "b_dec": (d_out,), **more}
    drawn = {name: rng.normal(0, 0.4, shape).astype(np.float32) for name, shape in shapes.items()}
    return drawn | {"threshold": rng.uniform(0.1, 0.6, F).astype(np.float32)}


def tokens(count: int = 40) -> np.ndarray:
    """(count, D) float32."""
    return np.random.default_rng(7).normal(0.3, 1.5, (count, D)).astype(np.float32)


def relu(pre: np.ndarray) -> np.ndarray:
    return np.maximum(pre, 0)


def topk(pre: np.ndarray, k: int = K) -> np.ndarray:
    """The k largest of each row, where they are positive."""
    z = np.zeros_like(pre)
    for row, values in enumerate(pre):
        best = np.argsort(values)[-k:]
        z[row, best] = np.maximum(values[best], 0)
    return z


def jump(pre: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    return np.where(pre > threshold, np.maximum(pre, 0), 0)


def write(
    folder: Path, config: dict | None, tensors: dict[str, np.ndarray], name: str, config_name="cfg.json"
):
    """A folder of weights in safetensors, .npz or .pt, with its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    if config is not None:
        (folder / config_name).write_text(json.dumps(config))
    if name.endswith(".npz"):
        np.savez(folder / name, **tensors)
    elif name.endswith(".pt"):
        torch.save({key: torch.tensor(value) for key, value in tensors.items()}, folder / name)
    else:
        save_file({key: np.ascontiguousarray(value) for key, value in tensors.items()}, folder / name)
    return folder


def agrees(foreign: ForeignSAE, x: np.ndarray, z: np.ndarray, x_hat: np.ndarray) -> None:
    """Assert that codes and reconstructions are these to 1e-5; z must say something."""
    sae, x = foreign.sae, torch.as_tensor(x)
    assert 0.02 < (np.asarray(z) > 0).mean() < 0.98, "codes that prove nothing"
    close = {"rtol": 1e-5, "atol": 1e-5}
    np.testing.assert_allclose(sae.encode_dense(x), z, **close)
    np.testing.assert_allclose(sae(x), x_hat, **close)
    assert not any(parameter.requires_grad for parameter in sae.parameters())
    assert all(parameter.dtype == torch.float32 for parameter in sae.parameters())
