"""Gemma Scope 1 (params.npz) and 2 (params.safetensors, config.json): JumpReLU that reads x without b_dec.

pre = x W_enc + b_enc, z = ReLU(pre)·1[pre > threshold], x̂ = z W_dec + b_dec (+ x W_skip) (Lieberum et al. 2024).
"""

import re
from pathlib import Path

from crosslens.sae.exchange.foreign import ForeignSAE, Found, text
from crosslens.sae.exchange.hooks import place_of
from crosslens.sae.io import build_sae
from crosslens.sae.model import JumpReLUSAE

SKIP = "affine_skip_connection"


def matches_first(found: Found) -> bool:
    """Whether this is a file of Gemma Scope 1."""
    return found.weights.suffix == ".npz" and any(name in found.tensors for name in ("W_enc", "W_dec"))


def read_first(found: Found) -> ForeignSAE:
    """Site and model stand nowhere but in the path; without the repository's name in it they are unknown."""
    d_in, d_sae = found.shape("W_enc")
    d_out = found.shape("W_dec")[1]
    shapes = {
        "W_enc": (d_in, d_sae),
        "W_dec": (d_sae, d_out),
        "b_enc": (d_sae,),
        "b_dec": (d_out,),
        "threshold": (d_sae,),
    }
    place = found.weights.absolute().as_posix()
    repo = re.search(r"gemma-scope-(\d+b)-(pt|it)-(res|mlp|att|transcoders)\b", place)
    layer = re.search(r".*/layer_(\d+)/", place)
    part = repo[3] if repo else None
    transcoder = part == "transcoders" or d_out != d_in
    sites = {"res": "", "mlp": ".mlp_out"}
    return ForeignSAE(
        build_sae(JumpReLUSAE, found.floats(shapes), apply_b_dec_to_input=False),
        "gemma_scope",
        "jumprelu",
        layer[1] + sites[part] if layer and part in sites else None,
        f"{part} of layer {layer[1]}" if layer and part else None,
        f"google/gemma-2-{repo[1]}{'-it' if repo[2] == 'it' else ''}" if repo else None,
        transcoder,
        f"{layer[1]}.mlp_out" if transcoder and layer else None,
        () if repo else ("Gemma Scope 1 says its site, and whether it is a transcoder, in the path only",),
        () if layer and part else None,
    )


def matches_second(found: Found) -> bool:
    """Whether these are the files of Gemma Scope 2."""
    return "w_enc" in found.tensors or found.config.get("architecture") == "jump_relu"


def read_second(found: Found) -> ForeignSAE:
    """Some folders have no config.json: the tensors' names are of one architecture, and the folder's says the site."""
    config, skip = found.config, SKIP in found.tensors
    if found.config_path:
        found.choice("architecture", ("jump_relu",))
        found.choice("affine_connection", (True,) if skip else (False, None))
    d_in, d_sae = found.shape("w_enc")
    d_out = found.shape("w_dec")[1]
    shapes = {
        "w_enc": (d_in, d_sae),
        "w_dec": (d_sae, d_out),
        "b_enc": (d_sae,),
        "b_dec": (d_out,),
        "threshold": (d_sae,),
        **({SKIP: (d_in, d_out)} if skip else {}),
    }
    names = {"w_enc": "W_enc", "w_dec": "W_dec", SKIP: "W_skip"}
    tensors = {names.get(name, name): tensor for name, tensor in found.floats(shapes).items()}
    if "width" in config and config["width"] != d_sae:
        raise found.refused(
            f"width {config['width']!r}", f"{d_sae}, that of the weights", "use files of one SAE"
        )

    hook, hook_out = text(config, "hf_hook_point_in"), text(config, "hf_hook_point_out")
    if hook is None:
        hook, hook_out = _hooks_of_folder(found.weights.parent)
    transcoder = skip or d_out != d_in or (hook_out is not None and hook_out != hook)
    place = place_of(hook, "gemma-3")
    return ForeignSAE(
        build_sae(JumpReLUSAE, tensors, apply_b_dec_to_input=False),
        "gemma_scope_2",
        "jumprelu",
        place.site,
        hook,
        _model(text(config, "model_name")),
        transcoder,
        place_of(hook_out, "gemma-3").site if transcoder else None,
        may_be=place.may_be if hook else None,
    )


def _hooks_of_folder(folder: Path) -> tuple[str | None, str | None]:
    """(input, output or None) hook points of .../resid_post_all/layer_17_width_16k_l0_small and the like."""
    layer = re.match(r"layer_(\d+)_", folder.name)
    if layer is None:
        return None, None
    block, norm = f"model.layers.{layer[1]}", "post_feedforward_layernorm.output"
    return {
        "resid_post": (f"{block}.output", None),
        "attn_out": (f"{block}.self_attn.o_proj.input", None),
        "mlp_out": (f"{block}.{norm}", None),
        "transcoder": (f"{block}.pre_feedforward_layernorm.output", f"{block}.{norm}"),
    }.get(folder.parent.name.removesuffix("_all"), (None, None))


def _model(name: str | None) -> str | None:
    """gemma-v3-4b-it is google/gemma-3-4b-it; the pretrained 270m has no -pt on the hub."""
    if not name:
        return None
    name = name.replace("-v3", "-3").removeprefix("google/")
    return "google/" + (name.removesuffix("-pt") if "270m" in name else name)
