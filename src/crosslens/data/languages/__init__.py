"""The languages that need more than plain words: a file each, by its code, that defines LANGUAGE; found by name.

Any other code of two or three letters is a plain language, and may be used as it is.
"""

from functools import cache

from crosslens.data.languages.base import Language
from crosslens.registry import member, names

PACKAGE = "crosslens.data.languages"
RIGHT_TO_LEFT = {"fa", "he", "ur"}
"""Written from right to left, and plain in all else as long as they have no file."""


@cache
def language_of(code: str) -> Language:
    """What is known of a language; plain words and the code for a name where there is no file for it."""
    if code in names(PACKAGE):
        return member(PACKAGE, code).LANGUAGE
    return Language(name=code, right_to_left=code in RIGHT_TO_LEFT)
