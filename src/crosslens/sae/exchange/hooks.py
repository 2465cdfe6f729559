"""Which of our sites an SAE reads, from its hook in whichever tool's words."""

import re
from typing import NamedTuple

KINDS = ("resid_pre", "attn_out", "mlp_out", "resid_post")


class Place(NamedTuple):
    """What a hook says."""

    site: str | None = None
    """The site that it is, in our notation ("14", "14.mlp_out"); None where it says none for sure."""
    may_be: tuple[str, ...] | None = None
    """The sites that it may be, none of them where it is elsewhere in the model; None where it is not understood."""


def place_of(hook: str | None, model: str | None = None) -> Place:
    """A name of TransformerLens (`blocks.4.hook_resid_post`) or of a module of transformers (`model.layers.4.mlp`).

    A module's output is meant unless `.input` stands behind it. What attention and the MLP give out is added to the
    residual stream as it is in most families and after a norm in Gemma and OLMo 2: without a `model` that tells, such a
    name says a site that it may be.
    """
    hook = hook or ""
    if "hook_" in hook:
        return _of_transformer_lens(hook)
    match = re.fullmatch(rf"{_WITHIN}(?:layers|h|blocks)\.(\d+)(?:\.(.+?))??(?:\.(input|output))?", hook)
    if match:
        return _of_module(match[1], match[2], match[3] or "output", model or "")
    return Place(may_be=() if _KNOWN_ELSEWHERE.search(hook) else None)


_WITHIN = r"(?:(?:model|language_model|transformer|gpt_neox|text_model|decoder|base_model)\.)*"
_KNOWN_ELSEWHERE = re.compile(
    r"(^|\.)((vision|visual|multi_modal|audio)\w*|embed_tokens|embed_in|embed_out|wte|wpe|lm_head|ln_f|norm|final_layer_norm)(\.|$)"
)
_NORMED = re.compile(r"gemma-?v?[23]|olmo-?2", re.IGNORECASE)
"""Models whose blocks add attention's and the MLP's output after a norm of its own."""
_HALVES = dict.fromkeys(("self_attn", "attn", "attention"), "attn_out") | {"mlp": "mlp_out"}
_AFTER_NORM = {"post_attention_layernorm": "attn_out", "post_feedforward_layernorm": "mlp_out"}
_BEFORE_MLP = ("ln2.hook_normalized", "hook_mlp_in", "mlp.hook_in")


def _of_transformer_lens(hook: str) -> Place:
    match = re.fullmatch(r"blocks\.(\d+)\.(.+)", hook)
    if match is None:
        return Place(may_be=())
    layer, part = match.groups()
    kind = {"hook_in": "resid_pre", "hook_out": "resid_post"}.get(part, part.removeprefix("hook_"))
    if kind in KINDS and "." not in part:
        return _exactly(layer, kind)
    return Place(may_be=(f"{layer}.mlp_in",) if part in _BEFORE_MLP else ())


def _of_module(layer: str, part: str | None, end: str, model: str) -> Place:
    normed = bool(_NORMED.search(model))
    if part is None:
        return _exactly(layer, "resid_post" if end == "output" else "resid_pre")
    if end == "output" and normed and part in _AFTER_NORM:
        return _exactly(layer, _AFTER_NORM[part])
    if end == "output" and not normed and part in _HALVES:
        return Place(may_be=(f"{layer}.{_HALVES[part]}",))
    before_mlp = (part, end) in (("mlp", "input"), ("pre_feedforward_layernorm", "output"))
    return Place(may_be=(f"{layer}.mlp_in",) if before_mlp else ())


def _exactly(layer: str, kind: str) -> Place:
    site = layer if kind == "resid_post" else f"{layer}.{kind}"
    return Place(site, (site,))
