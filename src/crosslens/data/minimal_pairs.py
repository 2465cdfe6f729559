"""Two texts that are the same but for words that tell a gender."""

from collections.abc import Mapping

from crosslens.data.genders import GENDERS
from crosslens.errors import InputError

TOLD = GENDERS[:2]


def differing(texts: Mapping[str, str], where: str) -> list[int]:
    """Which words of the two differ, by their number from 0; texts: gender -> text.

    Raises InputError, about `where`, for texts of unequally many words and for such without a difference.
    """
    words = [texts[gender].split() for gender in TOLD]
    places = [k for k, pair in enumerate(zip(*words, strict=False)) if pair[0] != pair[1]]
    if len(words[0]) != len(words[1]) or not places:
        raise InputError(
            where,
            found=" and ".join(repr(texts[gender]) for gender in TOLD),
            expected="two texts of equally many words, of which some differ",
            mend="write the same text of a woman and of a man, word by word",
        )
    return places
