"""SAEs on disk in the SAELens 6 layout: cfg.json and sae_weights.safetensors; nothing is pickled."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from crosslens.errors import InputError
from crosslens.sae.model import TopKSAE
from crosslens.tables.documents import SCHEMA, check_header

WEIGHTS, CONFIG = "sae_weights.safetensors", "cfg.json"
IDENTITY = ("study", "corpus", "site", "seed", "model", "revision")
PICKLED = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt", ".npy", ".npz")
TENSORS = ("W_dec", "W_enc", "b_dec", "b_enc")

_REQUIRED = {
    "architecture": "topk",
    "dtype": "float32",
    "apply_b_dec_to_input": True,
    "normalize_activations": "none",
    "rescale_acts_by_decoder_norm": False,
}


def hook_name(site: str) -> str:
    """The TransformerLens name: "4" is blocks.4.hook_resid_post, "4.mlp_out" is blocks.4.hook_mlp_out."""
    layer, _, kind = site.partition(".")
    return f"blocks.{layer}.hook_{kind or 'resid_post'}"


def save_sae(folder: Path, sae: TopKSAE, *, identity: dict[str, Any]) -> None:
    """Write `sae` (which must take raw activations) to `folder`; same SAE and identity, same bytes.

    identity: study, corpus, site, seed, model, revision; kept under `metadata.crosslens` and in the header
    of the weights.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    header = {"schema": SCHEMA, "kind": "sae", **{key: identity[key] for key in IDENTITY}}
    config = {
        **_REQUIRED,
        "d_in": sae.d_in,
        "d_sae": sae.d_sae,
        "k": sae.k,
        "device": "cpu",
        "reshape_activations": "none",
        "metadata": {
            "model_name": identity["model"],
            "hook_name": hook_name(identity["site"]),
            "hook_head_index": None,
            "prepend_bos": True,
            "crosslens": header,
        },
    }
    (folder / CONFIG).write_text(json.dumps(config, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    tensors = {name: getattr(sae, name).detach().float().cpu().contiguous() for name in TENSORS}
    # one metadata key only: safetensors does not fix the order of several
    save_file(tensors, folder / WEIGHTS, metadata={"crosslens": json.dumps(header, sort_keys=True)})


def read_config(folder: Path) -> dict[str, Any]:
    """cfg.json of a saved SAE, checked as far as it can be without the weights."""
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise InputError(
            path,
            found="no such file",
            expected="an SAE folder in the SAELens layout",
            mend="train or fetch it",
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(path, found=error, expected="JSON", mend="train or fetch it again") from error
    for key, expected in _REQUIRED.items():
        if config.get(key) != expected:
            raise InputError(
                path,
                found=f"{key} {config.get(key)!r}",
                expected=f"{key} {expected!r}",
                mend="convert the SAE to a topk SAE that takes raw activations",
            )
    for key in ("d_in", "d_sae", "k"):
        if not isinstance(config.get(key), int) or config[key] < 1:
            raise InputError(
                path, found=f"{key} {config.get(key)!r}", expected="a positive integer", mend=f"correct {key}"
            )
    if config["k"] > config["d_sae"]:
        raise InputError(
            path,
            found=f"k {config['k']}",
            expected=f"at most d_sae = {config['d_sae']}",
            mend="correct k, or train with a smaller k",
        )
    return config


def sae_identity(folder: Path) -> dict[str, Any]:
    """study, corpus, site, seed, model and revision of a saved SAE."""
    header = read_config(folder).get("metadata", {}).get("crosslens")
    check_header(Path(folder) / CONFIG, header, "sae")
    return {key: header[key] for key in IDENTITY}


def load_sae(folder: Path) -> TopKSAE:
    """The SAE in `folder`, on the CPU and frozen; it takes raw activations.

    Raises InputError on a missing or pickled file, a configuration that is not such a SAE, tensors of another
    name, shape or dtype than it says, and NaN or infinity in the weights.
    """
    folder = Path(folder)
    config = read_config(folder)
    sae = TopKSAE(config["d_in"], config["d_sae"], config["k"])
    sae.load_state_dict(_read_weights(folder, sae))
    return sae.requires_grad_(False).eval()


def _read_weights(folder: Path, sae: TopKSAE) -> dict[str, torch.Tensor]:
    path = folder / WEIGHTS
    if not path.is_file():
        pickled = sorted(p.name for p in folder.iterdir() if p.suffix in PICKLED)
        raise InputError(
            path,
            found=f"no such file, but {', '.join(pickled)}" if pickled else "no such file",
            expected=f"weights in {WEIGHTS}",
            mend="convert the weights to safetensors; pickled files are not read"
            if pickled
            else "train or fetch it",
        )
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise InputError(
            path,
            found=f"no safetensors file ({error})",
            expected="safetensors",
            mend="train or fetch it again; pickled files are not read",
        ) from error
    found = {name: (tuple(tensor.shape), str(tensor.dtype)) for name, tensor in sorted(tensors.items())}
    expected = {name: (tuple(getattr(sae, name).shape), "torch.float32") for name in TENSORS}
    if found != expected:
        raise InputError(
            path,
            found=f"tensors {found}",
            expected=f"{expected}, as cfg.json says",
            mend="use cfg.json and weights of the same SAE",
        )
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            count = int((~tensor.isfinite()).sum())
            raise InputError(
                path,
                found=f"{count} NaN or infinite values in {name}",
                expected="finite weights",
                mend="train it again, with a smaller lr if it diverged",
            )
    return tensors


def sae_digest(folder: Path) -> str:
    """sha256 (hex) of the weights file: what feature ids of this SAE are tied to."""
    with (Path(folder) / WEIGHTS).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_width(sae: TopKSAE, d_model: int, folder: Path) -> None:
    """Raise InputError unless the SAE in `folder` takes activations of width `d_model`."""
    if sae.d_in != d_model:
        raise InputError(
            folder,
            found=f"an SAE for width {sae.d_in}",
            expected=f"width {d_model}, that of the activations",
            mend="use the SAE and the activations of the same model",
        )


def check_site(folder: Path, site: str, *, model: str | None = None, revision: str | None = None) -> None:
    """Raise InputError unless the SAE in `folder` was trained at `site` (of this model, where given)."""
    identity = sae_identity(folder)
    expected = {"site": str(site)}
    if model is not None:
        expected |= {"model": model, "revision": revision}
    found = {key: identity[key] for key in expected}
    if found != expected:
        raise InputError(
            Path(folder) / CONFIG,
            found=f"an SAE of {found}",
            expected=str(expected),
            mend="use the SAE of the site and model that the activations come from",
        )
