"""SAEs on disk in the SAELens 6 layout: cfg.json and sae_weights.safetensors; nothing is pickled."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from crosslens.errors import InputError
from crosslens.sae.layout import CONFIG, WEIGHTS, read_json_object
from crosslens.sae.model import NORMALISATIONS, SAE, JumpReLUSAE, ReLUSAE, TopKSAE
from crosslens.tables.documents import SCHEMA, check_header
from crosslens.tables.tensors import save_tensors

IDENTITY = ("corpus", "site", "seed", "model", "revision")
PICKLED = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt", ".npy", ".npz")
LAYOUT = "6.0.0"
"""The SAELens that this layout is of: it takes a cfg.json without a version for one of before 6."""


class Architecture(NamedTuple):
    """What an architecture's name in cfg.json stands for."""

    kind: type[SAE]
    transcoder: bool
    skip: bool


def architecture_name(activation: str, transcoder: bool, skip: bool) -> str:
    """SAELens' name: "topk", or "transcoder" and "jumprelu_skip_transcoder". It has none for TopK transcoders."""
    prefix = "" if activation == "standard" else f"{activation}_"
    return f"{prefix}{'skip_' if skip else ''}transcoder" if transcoder else activation


ARCHITECTURES = {
    architecture_name(kind.architecture, transcoder, skip): Architecture(kind, transcoder, skip)
    for kind in (ReLUSAE, TopKSAE, JumpReLUSAE)
    for transcoder, skip in ((False, False), (True, False), (True, True))
}


def hook_name(site: str) -> str:
    """The TransformerLens name: "4" is blocks.4.hook_resid_post, "4.mlp_out" is blocks.4.hook_mlp_out."""
    layer, _, kind = site.partition(".")
    return f"blocks.{layer}.hook_{kind or 'resid_post'}"


def site_of(hook: str | None) -> str | None:
    """The inverse of `hook_name`; None of a hook that is no site of ours (attn.hook_z, mlp.hook_in, …)."""
    match = re.fullmatch(r"blocks\.(\d+)\.hook_(resid_pre|attn_out|mlp_out|resid_post)", hook or "")
    return match and (match[1] if match[2] == "resid_post" else f"{match[1]}.{match[2]}")


def tensor_shapes(architecture: str, d_in: int, d_sae: int, d_out: int) -> dict[str, tuple[int, ...]]:
    """The tensors of such an SAE in SAELens' file. W_skip is the transpose of ours."""
    kind, _, skip = ARCHITECTURES[architecture]
    return {
        "W_enc": (d_in, d_sae),
        "W_dec": (d_sae, d_out),
        "b_enc": (d_sae,),
        "b_dec": (d_out,),
        **({"threshold": (d_sae,)} if kind is JumpReLUSAE else {}),
        **({"W_skip": (d_out, d_in)} if skip else {}),
    }


def build_sae(kind: type[SAE], tensors: dict[str, Tensor], **options: Any) -> SAE:
    """The frozen SAE that these checked float32 tensors (named and oriented as in `kind`) are, without a copy."""
    (d_in, d_sae), d_out = tensors["W_enc"].shape, len(tensors["b_dec"])
    with torch.device("meta"):
        sae = kind(d_in=d_in, d_sae=d_sae, d_out=d_out, skip="W_skip" in tensors, **options)
    sae.load_state_dict({name: tensor.contiguous() for name, tensor in tensors.items()}, assign=True)
    return sae.eval()


def save_sae(
    folder: Path,
    sae: SAE,
    *,
    identity: dict[str, Any],
    trained_as: str | None = None,
    target: str | None = None,
) -> None:
    """Write `sae` (which must take raw activations) to `folder`; same SAE and identity, same bytes.

    identity: corpus, site, seed, model, revision; kept under `metadata.crosslens` and in the header
    of the weights. trained_as: what it was trained as, where that is not `sae.architecture` (batchtopk is saved as
    jumprelu). target: the site that a transcoder writes to. Raises ValueError of an SAE that the layout cannot say:
    a skip connection or another width without a target, a transcoder that normalises or subtracts b_dec.
    """
    folder, skip = Path(folder), sae.W_skip is not None
    if target is None and (skip or sae.d_out != sae.d_in):
        raise ValueError("a transcoder is saved with its target")
    if target is not None and (sae.apply_b_dec_to_input or sae.normalize != "none"):
        raise ValueError("a transcoder neither subtracts b_dec from its input nor normalises")
    folder.mkdir(parents=True, exist_ok=True)
    header = {"schema": SCHEMA, "kind": "sae", **{key: identity[key] for key in IDENTITY}}
    config = {
        "architecture": architecture_name(sae.architecture, target is not None, skip),
        "d_in": sae.d_in,
        "d_sae": sae.d_sae,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": sae.apply_b_dec_to_input,
        "normalize_activations": sae.normalize,
        "reshape_activations": "none",
    }
    if isinstance(sae, TopKSAE):
        config |= {"k": sae.k, "rescale_acts_by_decoder_norm": False}
    metadata = {
        "sae_lens_version": LAYOUT,
        "sae_lens_training_version": None,
        "model_name": identity["model"],
        "hook_name": hook_name(identity["site"]),
        "hook_head_index": None,
        "prepend_bos": True,
        "crosslens": header | {"trained_as": trained_as or sae.architecture},
    }
    if target is not None:
        config["d_out"] = sae.d_out
        metadata["hook_name_out"] = hook_name(target)
        metadata["crosslens"]["target"] = target
    text = json.dumps({**config, "metadata": metadata}, ensure_ascii=False, indent=1)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")
    state = {name: tensor.detach().float().cpu() for name, tensor in sae.state_dict().items()}
    tensors = {name: (x.T if name == "W_skip" else x).contiguous() for name, x in state.items()}
    # one metadata key only: safetensors does not fix the order of several
    save_tensors(tensors, folder / WEIGHTS, metadata={"crosslens": json.dumps(header, sort_keys=True)})


def check_choice(path: Path, config: dict[str, Any], key: str, allowed: tuple, mend: str) -> Any:
    """config[key]; InputError unless it is one of `allowed`."""
    if config.get(key) not in allowed:
        raise InputError(
            path,
            found=f"{key} {config[key]!r}" if key in config else f"no {key}",
            expected=f"{key} {' or '.join(map(repr, allowed))}",
            mend=mend,
        )
    return config.get(key)


def check_size(path: Path, config: dict[str, Any], key: str) -> int:
    """config[key]; InputError unless it is a positive integer."""
    value = config.get(key)
    if type(value) is not int or value < 1:
        raise InputError(path, found=f"{key} {value!r}", expected="a positive integer", mend=f"correct {key}")
    return value


def check_k(path: Path, k: int, d_sae: int) -> None:
    """Raise InputError of a k above d_sae."""
    if k > d_sae:
        raise InputError(
            path,
            found=f"k {k}",
            expected=f"at most d_sae = {d_sae}",
            mend="correct k, or train with a smaller k",
        )


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
    config = read_json_object(path)
    mend = "convert it with `crosslens sae convert`"
    name = check_choice(path, config, "architecture", tuple(ARCHITECTURES), mend)
    kind, transcoder, _ = ARCHITECTURES[name]
    allowed = {
        "dtype": ("float32",),
        "apply_b_dec_to_input": (False,) if transcoder else (True, False),
        "normalize_activations": ("none",) if transcoder else NORMALISATIONS,
        "rescale_acts_by_decoder_norm": (False, None),
        "reshape_activations": ("none", None),
    }
    for key, values in allowed.items():
        check_choice(path, config, key, values, mend)
    for key in ("d_in", "d_sae", "d_out") if transcoder else ("d_in", "d_sae"):
        check_size(path, config, key)
    if kind is TopKSAE:
        check_k(path, check_size(path, config, "k"), config["d_sae"])
    elif "k" in config:
        # the weights of a TopK SAE fit a ReLU SAE: only this tells them apart
        raise InputError(
            path,
            found=f"k {config['k']!r} in a {name} SAE",
            expected="k with architecture 'topk' only",
            mend="correct the architecture, or drop k",
        )
    return config


def _header(folder: Path) -> dict[str, Any]:
    header = read_config(folder).get("metadata", {}).get("crosslens")
    check_header(Path(folder) / CONFIG, header, "sae")
    if missing := [key for key in IDENTITY if key not in header]:
        raise InputError(
            Path(folder) / CONFIG,
            found=f"metadata.crosslens without {', '.join(missing)}",
            expected=f"{', '.join(IDENTITY)}: whose SAE it is",
            mend="restore the file, or convert the SAE again from where it came",
        )
    return header


def sae_identity(folder: Path) -> dict[str, Any]:
    """corpus, site, seed, model and revision of a saved SAE."""
    header = _header(folder)
    return {key: header[key] for key in IDENTITY}


def sae_origin(folder: Path) -> tuple[str, str | None]:
    """What a saved SAE was trained as, and the site that it writes to if it is a transcoder."""
    header = _header(folder)
    return header.get("trained_as") or read_config(folder)["architecture"], header.get("target")


def load_sae(folder: Path) -> SAE:
    """The SAE in `folder`, on the CPU and frozen; it takes raw activations.

    Raises InputError on a missing or pickled file, a configuration that is not such a SAE, tensors of another
    name, shape or dtype than it says, and NaN or infinity in the weights.
    """
    folder = Path(folder)
    config = read_config(folder)
    tensors = _read_weights(folder)
    name, d_in, d_sae = config["architecture"], config["d_in"], config["d_sae"]
    shapes = tensor_shapes(name, d_in, d_sae, config.get("d_out", d_in))
    check_tensors(folder / WEIGHTS, tensors, shapes, dtypes=(torch.float32,))
    if "W_skip" in tensors:
        tensors["W_skip"] = tensors["W_skip"].T
    return build_sae(
        ARCHITECTURES[name].kind,
        tensors,
        apply_b_dec_to_input=config["apply_b_dec_to_input"],
        normalize=config["normalize_activations"],
        **({"k": config["k"]} if "k" in config else {}),
    )


def _read_weights(folder: Path) -> dict[str, Tensor]:
    path = folder / WEIGHTS
    if not path.is_file():
        pickled = sorted(p.name for p in folder.iterdir() if p.suffix in PICKLED)
        raise InputError(
            path,
            found=f"no such file, but {', '.join(pickled)}" if pickled else "no such file",
            expected=f"weights in {WEIGHTS}",
            mend="convert it with `crosslens sae convert`; pickled files are not read"
            if pickled
            else "train or fetch it",
        )
    return read_safetensors(path)


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, or InputError."""
    try:
        return load_file(path)
    except SafetensorError as error:
        raise InputError(
            path,
            found=f"no safetensors file ({error})",
            expected="safetensors",
            mend="train or fetch it again; pickled files are not read",
        ) from error


def check_tensors(
    path: Path,
    tensors: dict[str, Tensor],
    shapes: dict[str, tuple[int, ...]],
    dtypes: tuple[torch.dtype, ...],
) -> None:
    """Raise InputError unless the tensors are those of `shapes`, of one of `dtypes`, and finite."""
    found = {name: tuple(tensor.shape) for name, tensor in sorted(tensors.items())}
    if found != shapes:
        raise InputError(
            path,
            found=f"tensors {found}",
            expected=f"{dict(sorted(shapes.items()))}, as the configuration says",
            mend="use configuration and weights of the same SAE",
        )
    for name, tensor in tensors.items():
        if tensor.dtype not in dtypes:
            raise InputError(
                path,
                found=f"{name} of {tensor.dtype}",
                expected=" or ".join(map(str, dtypes)),
                mend="save it again in that precision, or fetch it again",
            )
        if not tensor.isfinite().all():
            count = int((~tensor.isfinite()).sum())
            raise InputError(
                path,
                found=f"{count} NaN or infinite values in {name}",
                expected="finite weights",
                mend="fetch it again, or train it again with a smaller lr if it diverged",
            )


def sae_digest(folder: Path) -> str:
    """sha256 (hex) of the weights file: what feature ids of this SAE are tied to."""
    with (Path(folder) / WEIGHTS).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_width(sae: SAE, d_model: int, folder: Path) -> None:
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
