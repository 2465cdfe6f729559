"""Which file of `adapters/` serves which models. Imports nothing heavy: the Snakefile asks for keys."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from crosslens.registry import files

ADAPTERS = "crosslens.models.adapters"
_REGISTERED = re.compile(r"^@register\((.*?)\)", re.MULTILINE | re.DOTALL)


@cache
def model_types() -> dict[str, str]:
    """Every `model_type` that a family's file registers, and the name of that file."""
    return {
        model_type: family
        for family, file in files(ADAPTERS).items()
        for registered in _REGISTERED.findall(file.read_text(encoding="utf-8"))
        for model_type in re.findall(r'"(\w+)"', registered)
    }


def family_of(config: Mapping[str, Any]) -> str | None:
    """The module of the family that a config.json names; None where no file is for it."""
    family = model_types().get(config.get("model_type", ""))
    return family and f"{ADAPTERS}.{family}"


def gguf_config(file: Path) -> dict[str, str]:
    """The `model_type` of a GGUF file, by its `general.architecture`, which every writer puts first; else nothing."""
    with file.open("rb") as opened:
        head = opened.read(1024)
    found = re.match(rb"GGUF.{20}\x14\0{7}general\.architecture\x08\0{3}(.)\0{7}", head, re.DOTALL)
    return {"model_type": head[found.end() :][: found[1][0]].decode()} if found else {}
