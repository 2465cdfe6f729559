"""sparsify (EleutherAI): cfg.json and sae.safetensors in a folder named after the hookpoint."""

import json
from pathlib import Path

from crosslens.errors import InputError
from crosslens.sae.exchange.foreign import ForeignSAE, Found
from crosslens.sae.exchange.said import is_sparsify, of_sparsify
from crosslens.sae.io import build_sae, check_k
from crosslens.sae.layout import CONFIG
from crosslens.sae.model import SAE, TopKSAE
from crosslens.tables.tensors import save_tensors

WEIGHTS = "sae.safetensors"


def matches(found: Found) -> bool:
    """Whether these are the files of sparsify."""
    return is_sparsify(found.config)


def read(found: Found) -> ForeignSAE:
    """z = the k largest of ReLU((x − b_dec) W_encᵀ + b); a transcoder reads x itself, a skip connection adds x W_skipᵀ."""
    config = found.config
    found.choice("activation", ("topk", None))  # before groupmax was another choice it was not written
    found.choice("signed", (False, None))
    unbiased = bool(found.choice("transcode", (True, False, None)))
    skip = bool(found.choice("skip_connection", (True, False, None)))
    said = of_sparsify(config, found.weights)
    d_in = found.size("d_in")
    d_sae = found.size("num_latents") if config.get("num_latents") else d_in * found.size("expansion_factor")
    k = found.size("k")
    check_k(found.said_in, k, d_sae)
    shapes = {
        "encoder.weight": (d_sae, d_in),
        "encoder.bias": (d_sae,),
        "W_dec": (d_sae, d_in),
        "b_dec": (d_in,),
    }
    raw = found.floats(shapes | ({"W_skip": (d_in, d_in)} if skip else {}))
    tensors = {
        "W_enc": raw["encoder.weight"].T,
        "b_enc": raw["encoder.bias"],
        "W_dec": raw["W_dec"],
        "b_dec": raw["b_dec"],
    }
    notes = ()
    if skip:
        tensors["W_skip"] = raw["W_skip"].T
    if said.transcoder and not unbiased:
        # SAELens' layout has no transcoder that b_dec is subtracted from the input of
        tensors["b_enc"] = tensors["b_enc"] - tensors["b_dec"] @ tensors["W_enc"]
        reason = "it has a skip connection" if skip else "its run says that it is a transcoder"
        notes = (f"b_dec of the input folded into b_enc, as {reason}",)
    return ForeignSAE(
        build_sae(TopKSAE, tensors, k=k, apply_b_dec_to_input=not said.transcoder),
        "sparsify",
        "topk",
        said.site,
        said.hook,
        said.model,
        said.transcoder,
        said.target,
        notes,
        said.may_be,
        said.revision,
    )


def write_sparsify(folder: Path, sae: SAE) -> None:
    """Write a TopK SAE for `sparsify.SparseCoder.load_from_disk`; any other is an InputError.

    sparsify takes the site from the folder's name, such as `layers.17`.
    """
    wrong = {
        f"activation {sae.architecture}": not isinstance(sae, TopKSAE),
        f"normalisation {sae.normalize}": sae.normalize != "none",
        f"{sae.d_in} inputs and {sae.d_out} outputs": sae.d_out != sae.d_in,
    }
    for found, is_wrong in wrong.items():
        if is_wrong:
            raise InputError(
                "the SAE to convert",
                found=found,
                expected="a TopK SAE without normalisation and of one width, as sparsify knows no other",
                mend="convert it to saelens instead",
            )
    config = {
        "activation": "topk",
        "expansion_factor": max(1, sae.d_sae // sae.d_in),
        "normalize_decoder": False,
        "num_latents": sae.d_sae,
        "k": sae.k,
        "multi_topk": False,
        "skip_connection": sae.W_skip is not None,
        "transcode": not sae.apply_b_dec_to_input,
        "d_in": sae.d_in,
    }
    tensors = {
        "encoder.weight": sae.W_enc.T,
        "encoder.bias": sae.b_enc,
        "W_dec": sae.W_dec,
        "b_dec": sae.b_dec,
        **({} if sae.W_skip is None else {"W_skip": sae.W_skip.T}),
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    save_tensors(
        {name: x.detach().float().cpu().contiguous() for name, x in tensors.items()}, folder / WEIGHTS
    )
