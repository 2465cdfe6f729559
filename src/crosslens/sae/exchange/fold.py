"""Exact rewritings of other architectures' weights into the canonical form."""

from pathlib import Path

from torch import Tensor

from crosslens.errors import InputError


def gated_as_jumprelu(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """W_enc (D, F), b_gate, b_mag, r_mag (F) of a gated SAE as W_enc, b_enc, threshold; the rest is kept.

    Rajamanoharan et al. 2024: z = 1[y + b_gate > 0] ReLU(p), p = e^r_mag y + b_mag, y = x W_enc. As e^r_mag > 0 the
    gate opens where p > b_mag − e^r_mag b_gate, and where it is open below p = 0 the ReLU is 0.
    """
    tensors = dict(tensors)
    gain = tensors.pop("r_mag").exp()
    magnitude, gate = tensors.pop("b_mag"), tensors.pop("b_gate")
    return tensors | {
        "W_enc": tensors["W_enc"] * gain,
        "b_enc": magnitude,
        "threshold": (magnitude - gain * gate).clamp_min(0),
    }


def decoder_norm_into_codes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rows of W_dec at unit norm and z multiplied by the norms: the same reconstruction; rows of zeros stay."""
    norm = tensors["W_dec"].norm(dim=-1)
    norm = norm.where(norm > 0, 1.0)
    return tensors | {
        "W_enc": tensors["W_enc"] * norm,
        "b_enc": tensors["b_enc"] * norm,
        "W_dec": tensors["W_dec"] / norm[:, None],
    }


def input_scale(tensors: dict[str, Tensor], factor: float) -> dict[str, Tensor]:
    """An SAE of x·factor as one of raw x (SAELens' fold_activation_norm_scaling_factor); z keeps its units."""
    return tensors | {
        "W_enc": tensors["W_enc"] * factor,
        "W_dec": tensors["W_dec"] / factor,
        "b_dec": tensors["b_dec"] / factor,
    }


def centred(where: Path | str, normalize: str, *, transcoder: bool) -> tuple[str, tuple[str, ...]]:
    """How an SAE normalises that learned residuals less their mean over channels, and what to note of it.

    The model itself, whose every reader is a LayerNorm, does not see that mean: TransformerLens takes it off all that
    writes to the stream (`center_writing_weights`). layer_norm takes it off as well. Raises InputError of a transcoder,
    and of a norm that the mean is part of.
    """
    if transcoder or normalize == "constant_norm_rescale":
        raise InputError(
            where,
            found="a transcoder" if transcoder else f"normalize_activations {normalize!r}",
            expected="an SAE of raw activations, to read them less their mean over channels",
            mend="use an SAE that was trained on activations as they are",
        )
    if normalize == "layer_norm":
        return normalize, ()
    return "channel_mean", ("reads activations less their mean over channels (center_writing_weights)",)
