"""dictionary_learning: trainer_i/config.json and ae.pt."""

import math

from torch import Tensor

from crosslens.errors import InputError
from crosslens.sae.exchange.fold import decoder_norm_into_codes, gated_as_jumprelu
from crosslens.sae.exchange.foreign import ForeignSAE, Found
from crosslens.sae.exchange.said import is_dictionary_learning, of_dictionary_learning
from crosslens.sae.io import build_sae, check_k
from crosslens.sae.model import SAE, JumpReLUSAE, ReLUSAE, TopKSAE


def matches(found: Found) -> bool:
    """Whether these are the files of dictionary_learning."""
    return is_dictionary_learning(found.config)


def read(found: Found) -> ForeignSAE:
    """The dictionary that `dictionary_learning.utils.load_dictionary` gives."""
    trainer = found.config["trainer"]
    dict_class = found.choice("dict_class", tuple(READERS), trainer)
    sae, notes = READERS[dict_class](
        found, found.size("activation_dim", trainer), found.size("dict_size", trainer)
    )
    said = of_dictionary_learning(found.config)
    return ForeignSAE(
        sae,
        "dictionary_learning",
        dict_class,
        said.site,
        said.hook,
        said.model,
        said.transcoder,
        notes=notes,
        may_be=said.may_be,
    )


def _linear(
    found: Found, d: int, f: int, vectors: dict[str, int], ignore: tuple[str, ...] = ()
) -> dict[str, Tensor]:
    raw = found.floats(
        {"encoder.weight": (f, d), "decoder.weight": (d, f), **{name: (n,) for name, n in vectors.items()}},
        ignore,
    )
    return raw | {"W_enc": raw.pop("encoder.weight").T, "W_dec": raw.pop("decoder.weight").T}


def _renamed(tensors: dict[str, Tensor], names: dict[str, str]) -> dict[str, Tensor]:
    return {names.get(name, name): tensor for name, tensor in tensors.items()}


def _standard(found: Found, d: int, f: int) -> tuple[SAE, tuple[str, ...]]:
    tensors = _linear(found, d, f, {"encoder.bias": f, "bias": d})
    tensors = decoder_norm_into_codes(_renamed(tensors, {"encoder.bias": "b_enc", "bias": "b_dec"}))
    return build_sae(ReLUSAE, tensors), ("decoder rows at unit norm, as load_dictionary has them",)


def _new(found: Found, d: int, f: int) -> tuple[SAE, tuple[str, ...]]:
    tensors = _linear(found, d, f, {"encoder.bias": f, "decoder.bias": d})
    tensors = _renamed(tensors, {"encoder.bias": "b_enc", "decoder.bias": "b_dec"})
    return build_sae(ReLUSAE, tensors, apply_b_dec_to_input=False), ()


def _gated(found: Found, d: int, f: int) -> tuple[SAE, tuple[str, ...]]:
    tensors = _linear(found, d, f, {"decoder_bias": d, "r_mag": f, "gate_bias": f, "mag_bias": f})
    names = {"decoder_bias": "b_dec", "gate_bias": "b_gate", "mag_bias": "b_mag"}
    return build_sae(JumpReLUSAE, gated_as_jumprelu(_renamed(tensors, names))), ()


def _jumprelu(found: Found, d: int, f: int) -> tuple[SAE, tuple[str, ...]]:
    shapes = {"W_enc": (d, f), "b_enc": (f,), "W_dec": (f, d), "b_dec": (d,), "threshold": (f,)}
    return build_sae(JumpReLUSAE, found.floats(shapes), apply_b_dec_to_input=False), ()


def _topk(found: Found, d: int, f: int) -> tuple[SAE, tuple[str, ...]]:
    tensors = _linear(found, d, f, {"encoder.bias": f, "b_dec": d}, ignore=("k", "threshold"))
    return build_sae(TopKSAE, _renamed(tensors, {"encoder.bias": "b_enc"}), k=_k(found, f)), ()


def _batch_topk(found: Found, d: int, f: int) -> tuple[SAE, tuple[str, ...]]:
    tensors = _linear(found, d, f, {"encoder.bias": f, "b_dec": d}, ignore=("k", "threshold"))
    return _by_threshold(found, _renamed(tensors, {"encoder.bias": "b_enc"}), f)


def _matryoshka(found: Found, d: int, f: int) -> tuple[SAE, tuple[str, ...]]:
    shapes = {"W_enc": (d, f), "b_enc": (f,), "W_dec": (f, d), "b_dec": (d,)}
    return _by_threshold(found, found.floats(shapes, ignore=("k", "threshold", "group_sizes")), f)


def _by_threshold(found: Found, tensors: dict[str, Tensor], f: int) -> tuple[SAE, tuple[str, ...]]:
    """One threshold for all features, as running averages of training left it; it starts at −1, which is none."""
    _k(found, f)
    threshold = _scalar(found, "threshold")
    if threshold is None or not (math.isfinite(threshold) and threshold >= 0):
        raise InputError(
            found.weights,
            found=f"threshold {threshold}",
            expected="the threshold that training ends with, not below 0",
            mend="use a checkpoint from after the trainer's threshold_start_step",
        )
    tensors["threshold"] = tensors["b_enc"].new_full((f,), threshold)
    return build_sae(JumpReLUSAE, tensors), (f"active above its threshold {threshold:g}",)


def _k(found: Found, d_sae: int) -> int:
    trainer, saved = found.config["trainer"], _scalar(found, "k")
    k = found.size("k", trainer)
    if saved not in (None, k):
        raise found.refused(f"k {k}", f"k {saved:g} of the weights", "use files of the same SAE")
    check_k(found.said_in, k, d_sae)
    return k


def _scalar(found: Found, name: str) -> float | None:
    tensor = found.tensors.get(name)
    if tensor is None:
        return None
    if tensor.numel() != 1:
        raise InputError(
            found.weights,
            found=f"{name} of shape {tuple(tensor.shape)}",
            expected="one number",
            mend="fetch the SAE again",
        )
    return tensor.item()


READERS = {
    "AutoEncoder": _standard,
    "AutoEncoderNew": _new,
    "GatedAutoEncoder": _gated,
    "JumpReluAutoEncoder": _jumprelu,
    "AutoEncoderTopK": _topk,
    "BatchTopKSAE": _batch_topk,
    "MatryoshkaBatchTopKSAE": _matryoshka,
}
