"""What the model does with the gender that it has read, as flat records."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crosslens.stats.shuffles import AGREEMENT
from crosslens.stats.tested import permutation_floor
from crosslens.summary.reading import Document

_KEPT = (
    "targets",
    "sentences",
    "agrees",
    "by_sentence",
    "own",
    "alone",
    "difference",
    "lean",
    "p",
    "tested",
    "because",
)


def agreement_records(paths: Mapping[str, Path]) -> list[dict[str, Any]]:
    """A record a language, of its test sentences. paths: language -> JSON of kind agreement.

    In the family `agreement`, or in none where nothing was tested. `least_p`: what p would be if all sentences agreed.
    """
    records = []
    for language, path in paths.items():
        of = Document(path, "agreement")("of", "test")
        least = {"least_p": max(2.0 ** (1 - of["sentences"]), permutation_floor(AGREEMENT))}
        family = {"q_family": "agreement" if of["tested"] else None}
        records.append({"language": language} | {name: of[name] for name in _KEPT} | least | family)
    return records
