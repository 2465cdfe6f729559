"""What is meant by an answer, which models wrap in other words."""

import json
from typing import Any

LONGEST_LABEL = 200
"""Characters."""


def read_label(answer: str | None) -> str | None:
    """The label of an answer, on one line and not too long; None where there is none."""
    label = field(answer, "label")
    words = " ".join(label.split()) if isinstance(label, str) else ""
    return words[:LONGEST_LABEL] or None


def field(answer: str | None, name: str) -> Any:
    """Of the last JSON object in the answer that has it: models think aloud, and put fences around what they mean."""
    found, decoder, place = None, json.JSONDecoder(), (answer or "").find("{")
    while place >= 0:
        try:
            value, end = decoder.raw_decode(answer, place)
        except (ValueError, RecursionError):
            end = place + 1
        else:
            found = value[name] if isinstance(value, dict) and name in value else found
        place = answer.find("{", end)
    return found
