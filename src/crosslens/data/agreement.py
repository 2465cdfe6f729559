"""How far gender labels from different sources agree: counts and Cohen's kappa, images as units."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from crosslens.data.genders import GENDERS


def cohen_kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """(p_observed - p_chance) / (1 - p_chance) (Cohen 1960); None without pairs or if chance alone is certain."""
    if not pairs:
        return None
    n = len(pairs)
    first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    observed = sum(a == b for a, b in pairs) / n
    chance = sum(first[value] * second[value] for value in first) / n**2
    return None if chance == 1 else (observed - chance) / (1 - chance)


def cross_table(first: Mapping[str, str], second: Mapping[str, str]) -> dict[str, Any]:
    """Two labellings of the same images against each other.

    `table[a][b]` counts images with a in the first and b in the second; `kappa` is over female, male and unknown,
    `kappa_decided` over the images to which both give a gender.
    """
    pairs = [(value, second[image]) for image, value in first.items()]
    decided = [pair for pair in pairs if "unknown" not in pair]
    counted = Counter(pairs)
    return {
        "images": len(pairs),
        "table": {a: {b: counted[a, b] for b in GENDERS} for a in GENDERS},
        "agree": sum(a == b for a, b in pairs),
        "kappa": cohen_kappa(pairs),
        "decided": len(decided),
        "decided_agree": sum(a == b for a, b in decided),
        "kappa_decided": cohen_kappa(decided),
        "contradict": sum(a != b for a, b in decided),
        "one_silent": sum((a == "unknown") != (b == "unknown") for a, b in pairs),
    }


def gender_agreement(
    derived: Mapping[str, Mapping[str, str]], combined: Mapping[str, str], column: Mapping[str, str] | None
) -> dict[str, Any]:
    """Agreement of the labels derived in each language with one another, and with the column where there is one.

    `derived`: language -> image_id -> gender; `combined` and `column`: image_id -> gender.
    """
    sources = {**derived, "combined": combined} if derived else {}
    return {
        "languages": [
            {"first": first, "second": second, **cross_table(derived[first], derived[second])}
            for first, second in combinations(derived, 2)
        ],
        "column": [
            {"derived": source, **cross_table(column, labels)}
            for source, labels in sources.items()
            if column is not None
        ],
    }
