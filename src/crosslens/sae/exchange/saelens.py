"""SAELens: cfg.json and sae_weights.safetensors, of version 6 and with the flat cfg.json of before."""

import math
from typing import Any

from torch import Tensor

from crosslens.errors import InputError
from crosslens.sae.exchange.fold import centred, decoder_norm_into_codes, gated_as_jumprelu, input_scale
from crosslens.sae.exchange.foreign import ForeignSAE, Found
from crosslens.sae.exchange.said import (
    RENAMED,
    is_saelens,
    of_saelens,
    on_layer,
    saelens_layer,
    text,
    transcoder_signs,
)
from crosslens.sae.io import (
    ARCHITECTURES,
    architecture_name,
    build_sae,
    check_k,
    load_sae,
    sae_identity,
    sae_origin,
    site_of,
    tensor_shapes,
)
from crosslens.sae.layout import read_json_object
from crosslens.sae.model import NORMALISATIONS, JumpReLUSAE, TopKSAE

EXPECTED_AVERAGE = "expected_average_only_in"
SCALER = "activation_scaler.json"
OURS_ONLY = tuple(architecture_name("topk", True, skip) for skip in (False, True))
READABLE = tuple(name for name in ARCHITECTURES if name not in OURS_ONLY) + ("gated",)
BEFORE_6 = {
    "architecture": "standard",
    "activation_fn": "relu",
    "normalize_activations": "none",
    "apply_b_dec_to_input": True,
    "reshape_activations": "none",
}
"""What SAELens takes a configuration of before 6 to mean where it leaves a key out."""


def matches(found: Found) -> bool:
    """Whether these are the files of SAELens, or ours."""
    return is_saelens(found.config)


def read(found: Found, scaling_factor: float | None) -> ForeignSAE:
    """scaling_factor: of `expected_average_only_in`, where no activation_scaler.json beside the weights has it."""
    metadata = found.config.get("metadata")
    if isinstance(metadata, dict) and "crosslens" in metadata:
        return _read_ours(found)
    if isinstance(metadata, dict):
        return _read(found, found.config, metadata, "saelens", (), scaling_factor)
    config, notes = _as_version_6(found)
    return _read(found, config, config, "saelens before 6", notes, scaling_factor)


def _read_ours(found: Found) -> ForeignSAE:
    folder = found.weights.parent
    identity, (trained_as, target) = sae_identity(folder), sae_origin(folder)
    return ForeignSAE(
        load_sae(folder),
        "crosslens",
        trained_as,
        identity["site"],
        found.config["metadata"].get("hook_name"),
        identity["model"],
        target is not None,
        target,
        revision=identity["revision"] or None,
    )


def _as_version_6(found: Found) -> tuple[dict[str, Any], tuple[str, ...]]:
    config = {RENAMED.get(key, key): value for key, value in found.config.items()}
    if isinstance(config.get("normalize_activations"), bool):
        config["normalize_activations"] = EXPECTED_AVERAGE if config["normalize_activations"] else "none"
    absent = {key: value for key, value in BEFORE_6.items() if config.get(key) is None}
    config |= absent
    kwargs = config.get("activation_fn_kwargs")
    if isinstance(kwargs, dict) and "k" in kwargs and config.setdefault("k", kwargs["k"]) != kwargs["k"]:
        raise found.refused(f"k {config['k']!r} and {kwargs['k']!r}", "one k", "correct the configuration")
    if config.get("activation_fn") == "topk" and config["architecture"] == "standard":
        config["architecture"] = "topk"
    return config, tuple(f"no {key} in {found.said_in.name}: {value!r}" for key, value in absent.items())


def _read(
    found: Found,
    config: dict[str, Any],
    metadata: dict[str, Any],
    version: str,
    notes: tuple[str, ...],
    scaling_factor: float | None,
) -> ForeignSAE:
    name = found.choice("architecture", READABLE, config)
    kind, transcoder, skip = ARCHITECTURES[_canonical(name)]
    options = _options(found, config, name)
    tensors = _tensors(found, config, name)
    notes += _fold_finetuning(found, config, tensors)
    if options["normalize"] == EXPECTED_AVERAGE:
        factor = _scaling_factor(found, scaling_factor)
        tensors, options["normalize"] = input_scale(tensors, factor), "none"
        notes += (f"activation scaling factor {factor:g} folded into the weights",)
    elif scaling_factor is not None:
        raise found.refused(
            f"normalize_activations {options['normalize']!r}",
            f"{EXPECTED_AVERAGE!r}, as a scaling factor is given",
            "leave the scaling factor out",
        )
    if _is_centred(found, config, metadata):
        options["normalize"], more = centred(found.said_in, options["normalize"], transcoder=transcoder)
        notes += more
    if kind is TopKSAE and found.choice("rescale_acts_by_decoder_norm", (True, False, None), config):
        tensors = decoder_norm_into_codes(tensors)
        notes += ("rescale_acts_by_decoder_norm folded into the weights",)
    if name == "gated":
        tensors = gated_as_jumprelu(tensors)
    if skip:
        tensors["W_skip"] = tensors["W_skip"].T

    said, target = of_saelens(config), text(metadata, "hook_name_out")
    if not on_layer(said.hook, layer := saelens_layer(metadata)):
        raise found.refused(f"hook {said.hook} and layer {layer}", "one layer", "use files of one SAE")
    _check_reconstructs(found, config, metadata, name, said.hook)
    return ForeignSAE(
        build_sae(kind, tensors, **options),
        version,
        name,
        said.site,
        said.hook,
        said.model,
        transcoder,
        site_of(target) if transcoder else None,
        notes,
        said.may_be,
        said.revision,
    )


def _is_centred(found: Found, config: dict[str, Any], metadata: dict[str, Any]) -> bool:
    """Whether the model of its training was loaded with TransformerLens' `center_writing_weights`, as far as the files say."""
    said = [of.get("model_from_pretrained_kwargs") for of in (config, metadata)]
    return any(isinstance(of, dict) and of.get("center_writing_weights") is True for of in said)


def _check_reconstructs(
    found: Found, config: dict[str, Any], metadata: dict[str, Any], name: str, hook: str | None
) -> None:
    """Raise InputError of files that say elsewhere than in their architecture that they are of a transcoder."""
    if ARCHITECTURES[_canonical(name)].transcoder:
        return
    if signs := transcoder_signs(config, metadata, hook):
        raise found.refused(
            f"architecture {name!r} and {', '.join(signs)}: a transcoder",
            "an SAE, which reconstructs what it reads, or a transcoder that is called so",
            "name an SAE, or have its author save it with SAELens' name of such a transcoder",
        )


def _canonical(name: str) -> str:
    return "jumprelu" if name == "gated" else name


def _options(found: Found, config: dict[str, Any], name: str) -> dict[str, Any]:
    """apply_b_dec_to_input, normalize (as SAELens calls it) and, of a TopK SAE, k."""
    kind, transcoder, _ = ARCHITECTURES[_canonical(name)]
    found.choice("activation_fn", ("relu", "topk", None) if kind is TopKSAE else ("relu", None), config)
    found.choice("reshape_activations", ("none", "hook_z"), config)
    subtracted = (False,) if transcoder else (True, False)
    normalisations = ("none",) if transcoder else (*NORMALISATIONS, EXPECTED_AVERAGE)
    options = {
        "apply_b_dec_to_input": found.choice("apply_b_dec_to_input", subtracted, config),
        "normalize": found.choice("normalize_activations", normalisations, config),
    }
    if kind is TopKSAE:
        options["k"] = found.size("k", config)
        check_k(found.said_in, options["k"], found.size("d_sae", config))
    elif "k" in config and kind is not JumpReLUSAE:
        # the weights of a TopK SAE fit a ReLU SAE: only this tells them apart
        raise found.refused(
            f"k {config['k']!r} in a {name} SAE", "architecture 'topk'", "correct the configuration"
        )
    return options


def _tensors(found: Found, config: dict[str, Any], name: str) -> dict[str, Tensor]:
    """The tensors in float32, of the shapes that the configuration says."""
    d_in, d_sae = found.size("d_in", config), found.size("d_sae", config)
    d_out = found.size("d_out", config) if ARCHITECTURES[_canonical(name)].transcoder else d_in
    shapes = tensor_shapes(_canonical(name), d_in, d_sae, d_out)
    if name == "gated":
        shapes = {key: shapes[key] for key in ("W_enc", "W_dec", "b_dec")}
        shapes |= dict.fromkeys(("b_gate", "b_mag", "r_mag"), (d_sae,))
    if "scaling_factor" in found.tensors:
        shapes["scaling_factor"] = (d_sae,)
    return found.floats(shapes)


def _fold_finetuning(found: Found, config: dict[str, Any], tensors: dict[str, Tensor]) -> tuple[str, ...]:
    """Before 6 a factor per feature between z and W_dec could be trained afterwards; all ones were saved without it."""
    factor = tensors.pop("scaling_factor", None)
    if factor is None or (factor == 1).all():
        return ()
    if config.get("finetuning_scaling_factor") is not True:
        raise found.refused(
            f"finetuning_scaling_factor {config.get('finetuning_scaling_factor')!r}",
            "true, as the weights have a scaling_factor that is not all ones",
            "use configuration and weights of the same SAE",
        )
    tensors["W_dec"] = tensors["W_dec"] * factor[:, None]
    return ("finetuning scaling factor folded into W_dec",)


def _scaling_factor(found: Found, given: float | None) -> float:
    path = found.weights.with_name(SCALER)
    factor = given
    if given is None and path.is_file():
        factor = read_json_object(path).get("scaling_factor")
    if type(factor) not in (int, float) or not (math.isfinite(factor) and factor > 0):
        raise InputError(
            found.said_in,
            found=f"normalize_activations {EXPECTED_AVERAGE!r} and scaling factor {factor!r}",
            expected=f"the factor √d_in / E‖x‖ of its training, in {SCALER} or given",
            mend="give it with --scaling-factor",
        )
    return float(factor)
