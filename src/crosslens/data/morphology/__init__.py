"""Grammatical gender of words, by language: a file each, named for the code, which defines `MORPHOLOGY`.

A language without a file has no layer: where nouns have no gender (English) there is nothing to ask.
"""

from functools import cache

from crosslens.data.morphology.base import Morphology
from crosslens.registry import member, names

PACKAGE = "crosslens.data.morphology"


@cache
def morphology_of(code: str) -> Morphology | None:
    """The morphological layer of a language; None where it has none."""
    return member(PACKAGE, code).MORPHOLOGY if len(code) <= 3 and code in names(PACKAGE) else None
