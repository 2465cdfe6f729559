"""Which adapter serves which models."""

import runpy
from collections.abc import Callable
from pathlib import Path

from crosslens.errors import InputError
from crosslens.models.adapters.base import Adapter

ADAPTERS: dict[str, type[Adapter]] = {}
"""By `model_type` of the model's configuration."""


def register(*model_types: str) -> Callable[[type[Adapter]], type[Adapter]]:
    """Class decorator: use this adapter for models of these `model_type`s."""

    def add(adapter: type[Adapter]) -> type[Adapter]:
        ADAPTERS.update(dict.fromkeys(model_types, adapter))
        return adapter

    return add


def declare(file: Path) -> None:
    """Run a Python file of the user's that registers adapters; InputError when it is not there or registers none."""
    if not file.is_file():
        raise InputError(
            file,
            found="no file",
            expected="a Python file that registers an adapter",
            mend="correct model.adapter",
        )
    before = dict(ADAPTERS)
    runpy.run_path(str(file))
    if ADAPTERS == before:
        raise InputError(
            file,
            found="no adapter registered",
            expected="a subclass of Adapter under @register(model_type)",
            mend="see crosslens.models.adapters for an example",
        )


def adapter_for(model_type: str, where: object) -> type[Adapter]:
    """The adapter of `model_type`; InputError when there is none."""
    if model_type not in ADAPTERS:
        raise InputError(
            where,
            found=f"model type {model_type!r}",
            expected=f"one of {', '.join(sorted(ADAPTERS))}",
            mend="choose a model of these families, or declare this one: a subclass of Adapter that says where "
            f"`decoder` (with `blocks` and `final_norm`), `attn_out` and `mlp_out` are, under @register({model_type!r}), "
            "in a file that `model.adapter` names (see crosslens.models.adapters for an example)",
        )
    return ADAPTERS[model_type]
