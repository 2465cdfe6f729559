"""Controls: a study once more, with what should carry its findings taken away.

`{study}__{control}` is such a study: the file of `study` with a few settings changed. It is built like any other, down to
its summary; the page of `study` shows the numbers of both on one axis.
"""

import copy
from collections.abc import Iterable
from typing import Any

from crosslens.sae.settings import unread

BETWEEN = "__"
CONTROLS: dict[str, dict[str, Any]] = {
    "random_init": {"model": {"random_init": 0}},
    "frozen_decoder": {"sae": {"architecture": "frozen_decoder"}},
    "romanised": {"text": "romanised"},
    "shuffled": {"text": "shuffled"},
}
"""What each changes."""
APART: dict[str, Any] = {
    "controls": [],
    "claims": None,
    "sweep": {},
    "tokens": None,
    "compare": {},
    "embeddings": None,
    "geometry": None,
    "describe": None,
    "causal": None,
    "steering": None,
    "clamp": None,
    "patching": None,
    "lenses": None,
    "attention": None,
}
"""What a control has none of."""


def controls_of(study: str, controls: Iterable[str]) -> dict[str, str]:
    """The studies that are these controls of a study -> the control."""
    return {f"{study}{BETWEEN}{control}": control for control in controls}


def control_of(name: str) -> tuple[str, str] | None:
    """The study and the control in a name; None for another name."""
    study, between, control = name.rpartition(BETWEEN)
    return (study, control) if between and study and control in CONTROLS else None


def changed(document: dict[str, Any], control: str) -> dict[str, Any]:
    """The settings of a study's control, as far as its file says any."""
    document = document | copy.deepcopy(APART)  # defaults are filled in place
    for name, value in CONTROLS[control].items():
        inner = document.get(name)
        if isinstance(inner, dict) and "architecture" in value:
            inner = {key: of for key, of in inner.items() if key not in unread(value["architecture"])}
        document[name] = {**inner, **value} if isinstance(inner, dict) else value
    if isinstance(document.get("sae"), dict):
        document["sae"] = document["sae"] | {"pretrained": {}}
    return document
