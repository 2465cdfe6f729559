"""The sweep of a study: the settings of `sweep` in every combination."""

import itertools
from collections.abc import Mapping
from typing import Any

from crosslens.sae.settings import unread


def variants(swept: Mapping[str, list], sae: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What each SAE of the sweep changes of the settings `sae`, by a name made of it.

    Settings that an architecture ignores are left out, and so is the combination that the study's own SAE has.
    """
    found: dict[str, dict[str, Any]] = {}
    for values in itertools.product(*swept.values()) if swept else ():
        chosen = dict(zip(swept, values, strict=True))
        architecture = chosen.get("architecture", sae["architecture"])
        for name in unread(architecture):
            chosen.pop(name, None)
        if chosen.items() <= sae.items():
            continue
        words = [str(v) if k == "architecture" else f"{k}_{v}" for k, v in chosen.items()]
        found["-".join(words) or architecture] = chosen
    return found
