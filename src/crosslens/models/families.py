"""Which file of `adapters/` serves which models. Imports nothing heavy: the Snakefile asks for keys."""

import ast
import math
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
    inner = (config.get("model_type", ""), config.get("text_config", {}).get("model_type", ""))
    return next(filter(None, (_said(name, "overflows_float16") for name in inner)), None)


def token_side(config: Mapping[str, Any]) -> int | None:
    """Pixels of the square that a token of a picture stands for, of a family in which pictures differ in size; None of others."""
    if not _said(config.get("model_type", ""), "sized_images"):
        return None
    vision = config.get("vision_config") or {}
    return vision.get("patch_size", 14) * vision.get("spatial_merge_size", 2)


def picture_tokens(
    config: Mapping[str, Any], size: tuple[int, int] | None, pixels: tuple[int, int]
) -> int | None:
    """Tokens of its text that a picture takes in models of this config.json; None where the configuration does not say.

    size, pixels: matter where a token has a `token_side`: (height, width) of the picture, None for a square of the most pixels,
    and the fewest and the most pixels that the processor scales it to, its sides multiples of a token's (`smart_resize` of
    Qwen2-VL).
    """
    vision = config.get("vision_config") or {}
    if side := token_side(config):
        height, width = size or (math.isqrt(pixels[1]),) * 2
        area = round(height / side) * round(width / side) * side**2
        scale, rounded = 1.0, round
        if area > pixels[1]:
            scale, rounded = math.sqrt(pixels[1] / (height * width)), math.floor
        elif area < pixels[0]:
            scale, rounded = math.sqrt(pixels[0] / (height * width)), math.ceil
        return math.prod(max(1, rounded(scale * length / side)) for length in (height, width))
    if fixed := config.get("mm_tokens_per_image") or vision.get("num_image_tokens"):
        return fixed
    # tiles are looked at by cross-attention, and are none of its text
    if "image_size" in vision and "patch_size" in vision and "max_num_tiles" not in vision:
        # CLIP's have a token of the whole picture before those of its pieces, SigLIP's have none
        whole = "clip" in vision.get("model_type", "") and "siglip" not in vision["model_type"]
        kept = whole and config.get("vision_feature_select_strategy") == "full"
        return (vision["image_size"] // vision["patch_size"]) ** 2 + kept
    return None


@cache
def _said(model_type: str, attribute: str) -> Any:
    """What the class that is registered for it says in an attribute, itself or a class that it is built on; None: nothing."""
    if model_type not in model_types():
        return None
    tree = ast.parse(files(ADAPTERS)[model_types()[model_type]].read_text(encoding="utf-8"))
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}

    def said(name: str) -> Any:
        for node in classes[name].body if name in classes else ():
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == attribute:
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
