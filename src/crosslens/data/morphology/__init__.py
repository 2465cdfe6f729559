"""Grammatical gender of words, by language: a file each, named for the code, which defines `MORPHOLOGY`.

A language without a file has no layer: where nouns have no gender (English) there is nothing to ask. An analyser of others,
in the place of ours where a study names it, is a file `{code}_{adapter}.py`.
"""

from functools import cache
from pathlib import Path

from crosslens.data.morphology.base import Morphology
from crosslens.registry import member, names

PACKAGE = "crosslens.data.morphology"


def layer_name(code: str, adapter: str | None = None) -> str:
    """The file of a language's layer, ours or that of an adapter, which need not be there."""
    return f"{code}_{adapter}" if adapter else code


def data_files(code: str, adapter: str | None = None) -> list[Path]:
    """What the layer of a language reads beside its packages, there or not: part of the keys of what it tells."""
    name = layer_name(code, adapter)
    return getattr(member(PACKAGE, name), "data_files", list)() if name in names(PACKAGE) else []


@cache
def morphology_of(code: str, adapter: str | None = None) -> Morphology | None:
    """The morphological layer of a language, ours or that of an adapter; None where it has none. Imports no adapter's package."""
    name = layer_name(code, adapter)
    return member(PACKAGE, name).MORPHOLOGY if name in names(PACKAGE) else None
