"""How many tokens a picture takes, known from a model's configuration alone. Imports nothing heavy: the Snakefile asks."""

import math
from collections.abc import Mapping
from typing import Any

SIZED = ("qwen2_vl", "qwen2_5_vl")
"""Families whose adapter says `sized_images`."""
WHOLE = ("llava", "paligemma")
"""Families that see every picture at one size, all pieces of it in their text: others cut it into tiles, or merge pieces."""


def token_side(config: Mapping[str, Any]) -> int | None:
    """Pixels of the square that a token of a picture stands for, of a family in which pictures differ in size; None of others."""
    if config.get("model_type") not in SIZED:
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
    if config.get("model_type") in WHOLE and {"image_size", "patch_size"} <= vision.keys():
        # CLIP's have a token of the whole picture before those of its pieces, SigLIP's have none
        whole = "clip" in vision.get("model_type", "") and "siglip" not in vision["model_type"]
        kept = whole and config.get("vision_feature_select_strategy") == "full"
        return (vision["image_size"] // vision["patch_size"]) ** 2 + kept
    return None
