"""Models whose numbers other packages decide, which no key holds. Imports nothing heavy: the Snakefile asks too."""

from collections.abc import Mapping
from typing import Any, NamedTuple

ADAPTER_CONFIG = "adapter_config.json"
"""The file that tells transformers of an adapter of PEFT."""


class Refusal(NamedTuple):
    """What is told of a model, in the words of InputError."""

    found: str
    expected: str
    mend: str


def adapter_of_peft(place: object) -> Refusal:
    """Of a folder or repository that holds ADAPTER_CONFIG."""
    return Refusal(
        f"an adapter of PEFT in {place} ({ADAPTER_CONFIG})",
        "a whole model: transformers adds the adapter where peft is installed and leaves it out elsewhere, and no key says "
        "which",
        "merge it into its model (`merge_and_unload`, `save_pretrained`) in a folder of its own",
    )


def quantised(config: Mapping[str, Any]) -> Refusal | None:
    """Of a config.json that tells of weights which a package of their method reads; None of others."""
    how = config.get("quantization_config")
    if not how:
        return None
    method = how.get("quant_method") if isinstance(how, Mapping) else None
    return Refusal(
        f"quantised weights ({method or 'quantization_config'} in config.json)",
        "weights in float32, bfloat16 or float16: what the package that reads quantised ones makes of them is in no key",
        "name the model that they were made of, a copy in bfloat16, or a GGUF file",
    )
