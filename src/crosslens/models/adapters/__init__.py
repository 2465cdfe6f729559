"""What differs between model families: where their parts are, and what their inputs are made of; a family a file.

A family's file is found by the `model_type`s that it registers, and no other is imported. One that is not here is
declared by a class, in a file that `model.adapter` of the study names (in a notebook: in a cell before `load_model`).
It may import modules that lie beside it: they are part of the keys as it is. Text-only models need three places::

    from crosslens.models.adapters import Adapter, register

    @register("olmo2")  # `model_type` of the model's config.json
    class Olmo2(Adapter):
        @property
        def decoder(self):  # holds `layers`, `norm`; override `blocks` and `final_norm` where they have other names
            return self.model.model

        def attn_out(self, block):  # its output is added to the residual stream: behind a post-norm, if there is one
            return block.post_attention_layernorm

        def mlp_out(self, block):
            return block.post_feedforward_layernorm

`attn_gate` and `mlp_gate` give the factor where a block multiplies what it adds; `logit_scale` and `logit_softcap` say
what the model does to its logits. A vision-language model starts from `VisionAdapter` and has its `language_model`,
`vision_tower` and `projector`, and what its images add to the text (`image_text`) and to the inputs (`image_inputs`,
`token_inputs`). Names that an adapter has for itself begin with an underscore. Whether the places are right is what
`resid_pre + attn_out + mlp_out = resid_post` shows, and which of the two hears of other tokens: every extraction proves
both first (crosslens.models.composition).
"""

from collections.abc import Callable
from pathlib import Path

from crosslens.errors import InputError
from crosslens.models.adapters.base import Adapter, VisionAdapter
from crosslens.models.families import model_types
from crosslens.models.parts import check_declared
from crosslens.models.user_code import run_file
from crosslens.registry import member

__all__ = ["Adapter", "VisionAdapter", "adapter_for", "declare", "known_adapter", "register"]

_REGISTERED: dict[str, type[Adapter]] = {}
"""By `model_type`: the user's, and those of the families that were asked for."""


def register(*model_types: str) -> Callable[[type[Adapter]], type[Adapter]]:
    """Class decorator: use this adapter for models of these `model_type`s; InputError where it does not say what it must."""

    def add(adapter: type[Adapter]) -> type[Adapter]:
        check_declared(adapter, Adapter, VisionAdapter)
        _REGISTERED.update(dict.fromkeys(model_types, adapter))
        return adapter

    return add


def declare(file: Path) -> None:
    """Run a Python file of the user's that registers adapters; InputError when it is not there, fails, or registers none."""
    if not file.is_file():
        raise InputError(
            file,
            found="no file",
            expected="a Python file that registers an adapter",
            mend="correct model.adapter",
        )
    before = _users()
    run_file(file)
    if _users() == before:
        raise InputError(
            file,
            found="no adapter registered",
            expected="a subclass of Adapter under @register(model_type)",
            mend="see crosslens.models.adapters for an example",
        )


def known_adapter(model_type: str) -> type[Adapter] | None:
    """The adapter of `model_type`: one that the user registered, else that of a file of this package, or None."""
    if model_type not in _REGISTERED and model_type in model_types():
        before = _users()
        member("crosslens.models.adapters", model_types()[model_type])
        _REGISTERED.update(before)
    return _REGISTERED.get(model_type)


def _users() -> dict[str, type[Adapter]]:
    """What is registered elsewhere than in the file of its family."""
    home = {model_type: f"{__name__}.{family}" for model_type, family in model_types().items()}
    return {name: adapter for name, adapter in _REGISTERED.items() if adapter.__module__ != home.get(name)}


def adapter_for(model_type: str, where: object) -> type[Adapter]:
    """The adapter of `model_type`; InputError, about the model `where`, when there is none."""
    if (found := known_adapter(model_type)) is None:
        raise InputError(
            where,
            found=f"model type {model_type!r}",
            expected=f"one of {', '.join(sorted(_REGISTERED | model_types()))}",
            mend="choose a model of these families, or declare this one: a subclass of Adapter that says where "
            f"`decoder` (with `blocks` and `final_norm`), `attn_out` and `mlp_out` are, under @register({model_type!r}), "
            "in a file that `model.adapter` names (see crosslens.models.adapters for an example)",
        )
    return found
