"""What a morphological layer says of a word, and what it must be able to do."""

from typing import NamedTuple, Protocol

FEMININE, MASCULINE, BOTH, UNKNOWN = "feminine", "masculine", "both", "unknown"
CERTAIN = ("list", "ending")
"""The sources of a gender that analyses rest on; what only bears no mark is too often something else."""


class Analysis(NamedTuple):
    """A written word taken apart."""

    surface: str
    prefixes: tuple[str, ...]
    stem: str
    """As it is written on its own: with ة where a pronoun has opened it to ت."""
    suffix: str
    part: str
    """noun, adjective, nominal (either), verb, other (a function word) or unknown."""
    gender: str
    """feminine, masculine, both (usage has either) or unknown."""
    number: str
    """singular, dual, plural or unknown, where it is visible."""
    animate: bool | None
    """Whether it names a living being; None where nothing says."""
    source: str
    """What the gender is from: list, ending, verb (its person's prefix or ending), unmarked, or none."""


class Morphology(Protocol):
    """The layer of one language."""

    def analyse(self, word: str) -> Analysis:
        """The reading of one written word, out of its sentence."""
