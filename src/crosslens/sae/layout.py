"""What the files of an SAE are called, and their JSON; without torch."""

import json
from pathlib import Path
from typing import Any

from crosslens.errors import InputError

WEIGHTS, CONFIG = "sae_weights.safetensors", "cfg.json"


def read_json_object(path: Path) -> dict[str, Any]:
    """The object in the JSON file `path`, or InputError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(path, found=error, expected="JSON", mend="train or fetch it again") from error
    if not isinstance(document, dict):
        raise InputError(
            path, found=type(document).__name__, expected="a JSON object", mend="train or fetch it again"
        )
    return document
