"""The activations or codes of several languages at one site, for stages that compare them."""

from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import Any

from crosslens.errors import InputError
from crosslens.tables.activations import Activations
from crosslens.tables.codes import Codes


def open_languages(
    datasets: dict[str, Path], tokens: dict[str, list[Path]], activations: dict[str, list[Path]]
) -> dict[str, Activations]:
    """The activations of each language; raises InputError unless all are of one site and model width."""
    for name, mapping in (("datasets", datasets), ("tokens", tokens)):
        if set(mapping) != set(activations):
            raise InputError(
                name,
                found=f"languages {sorted(mapping)}",
                expected=f"{sorted(activations)}, those of the activations",
                mend=f"give the {name} of every language",
            )
    stored = {language: Activations(paths) for language, paths in activations.items()}
    (first, reference), *others = stored.items()
    for language, other in others:
        for key in ("site", "model", "revision", "d_model"):
            found, expected = (part.attributes.get(key) for part in (other, reference))
            if found != expected:
                raise InputError(
                    other.paths[0],
                    found=f"{key} {found!r} ({language})",
                    expected=f"{expected!r} as in {reference.paths[0]} ({first})",
                    mend="compare languages at one site of one model",
                )
    return stored


Pairs = Iterable[tuple[str, str]]


def pairs_among(languages: Iterable[str], pairs: Pairs | None) -> list[tuple[str, str]]:
    """The pairs to compare: those named, or every two of the languages. Raises InputError for one that is not there."""
    known = list(languages)
    found = [(first, second) for first, second in combinations(known, 2) if pairs is None]
    found += [(first, second) for first, second in pairs or ()]
    if strange := sorted({language for pair in found for language in pair} - {*known}):
        raise InputError("pairs", found=strange, expected=f"some of {known}", mend="correct the pairs")
    return found


def described(stored: dict[str, Activations]) -> dict[str, Any]:
    """The head of a document on several languages: their site, its width and their codes."""
    first = next(iter(stored.values()))
    return {"site": first.attributes["site"], "d_model": first.d_model, "languages": list(stored)}


def open_codes(codes: dict[str, Path]) -> dict[str, Codes]:
    """The codes of each language; raises InputError unless all are of one SAE: feature i means nothing across two."""
    stored = {language: Codes(path) for language, path in codes.items()}
    (first, reference), *others = stored.items()
    for key in ("sae", "site"):
        for language, other in others:
            if other.attributes.get(key) != reference.attributes.get(key):
                raise InputError(
                    other.path,
                    found=f"{key} {other.attributes.get(key)!r} ({language})",
                    expected=f"{reference.attributes.get(key)!r} as in {reference.path} ({first})",
                    mend="compare features by index only within one joint SAE; encode both languages with it",
                )
    if reference.attributes.get("sae") is None:
        raise InputError(
            reference.path, found="no digest of an SAE", expected="attribute `sae`", mend="encode again"
        )
    return stored
