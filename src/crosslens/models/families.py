"""Which file of `adapters/` serves which models. Imports nothing heavy: the Snakefile asks for keys."""

import ast
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from crosslens.errors import InputError
from crosslens.registry import files

ADAPTERS = "crosslens.models.adapters"
_REGISTERED = re.compile(r"^@register\((.*?)\)", re.MULTILINE | re.DOTALL)


@cache
def model_types() -> dict[str, str]:
    """Every `model_type` that a family's file registers, and the name of that file."""
    return {
        model_type: family for family, file in files(ADAPTERS).items() for model_type in registered_in(file)
    }


def registered_in(file: Path) -> list[str]:
    """Every `model_type` that a Python file registers in so many words; the file is not run."""
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            file,
            found=f"bytes that are not UTF-8 ({error.reason})",
            expected="a Python file",
            mend="save it as UTF-8",
        ) from error
    return [
        model_type
        for registered in _REGISTERED.findall(text)
        for model_type in re.findall(r"[\"'](\w+)[\"']", registered)
    ]


def overflow_of(config: Mapping[str, Any]) -> str | None:
    """Why models of this config.json, or the language model inside, cannot be computed in float16; None where they can."""
    found = (_overflow(inner.get("model_type", "")) for inner in (config, config.get("text_config", {})))
    return next(filter(None, found), None)


@cache
def _overflow(model_type: str) -> str | None:
    """What the class that is registered for it says in `overflows_float16`, itself or a class that it is built on."""
    if model_type not in model_types():
        return None
    tree = ast.parse(files(ADAPTERS)[model_types()[model_type]].read_text(encoding="utf-8"))
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}

    def said(name: str) -> str | None:
        for node in classes[name].body if name in classes else ():
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "overflows_float16":
                value = node.value
                if isinstance(value, ast.Attribute):  # `Gemma2.overflows_float16`
                    return said(ast.unparse(value.value))
                return ast.literal_eval(value)
        bases = classes[name].bases if name in classes else []
        return next(filter(None, (said(ast.unparse(base)) for base in bases)), None)

    for name, node in classes.items():
        if any(f"'{model_type}'" in ast.unparse(decorator) for decorator in node.decorator_list):
            return said(name)
    return None


def family_of(config: Mapping[str, Any]) -> str | None:
    """The module of the family that a config.json names; None where no file is for it."""
    family = model_types().get(config.get("model_type", ""))
    return family and f"{ADAPTERS}.{family}"


def gguf_config(file: Path) -> dict[str, str]:
    """The `model_type` of a GGUF file, by its `general.architecture`, which every writer puts first; else nothing."""
    with file.open("rb") as opened:
        head = opened.read(1024)
    found = re.match(rb"GGUF.{20}\x14\0{7}general\.architecture\x08\0{3}(.)\0{7}", head, re.DOTALL)
    return {"model_type": head[found.end() :][: found[1][0]].decode(errors="replace")} if found else {}
