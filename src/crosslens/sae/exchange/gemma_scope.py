"""Gemma Scope 1 (params.npz) and 2 (params.safetensors, config.json): JumpReLU that reads x without b_dec.

pre = x W_enc + b_enc, z = ReLU(pre)·1[pre > threshold], x̂ = z W_dec + b_dec (+ x W_skip) (Lieberum et al. 2024).
"""

from crosslens.sae.exchange.foreign import ForeignSAE, Found
from crosslens.sae.exchange.said import of_gemma_scope, of_gemma_scope_2
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
    said = of_gemma_scope(found.weights)
    transcoder = said.transcoder or d_out != d_in
    return ForeignSAE(
        build_sae(JumpReLUSAE, found.floats(shapes), apply_b_dec_to_input=False),
        "gemma_scope",
        "jumprelu",
        said.site,
        said.hook,
        said.model,
        transcoder,
        said.target,
        ()
        if said.model
        else ("Gemma Scope 1 says its site, and whether it is a transcoder, in the path only",),
        said.may_be,
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

    said = of_gemma_scope_2(config, found.weights)
    return ForeignSAE(
        build_sae(JumpReLUSAE, tensors, apply_b_dec_to_input=False),
        "gemma_scope_2",
        "jumprelu",
        said.site,
        said.hook,
        said.model,
        said.transcoder or skip or d_out != d_in,
        said.target,
        may_be=said.may_be,
    )
