"""English: an inner apostrophe or hyphen joins ("man-made" is one word)."""

import re

from crosslens.data.languages.base import Candidate, Language

_ENDING = re.compile(r"'(?:s|d|m|ll|re|ve)?$")


class English(Language):
    """A word is also read without 's, and a compound as its last parts."""

    def candidates(self, word: str) -> list[Candidate]:
        """As written, without its ending, and what a compound ends in, the longest first.

        An ex-wife is a wife, an ex-mother-in-law a mother-in-law, and a man-made lake is no man.
        """
        whole = self.letters(word)
        bare = _ENDING.sub("", whole)
        parts = bare.split("-")
        ends = ("-".join(parts[first:]) for first in range(1, len(parts)))
        return [Candidate(form, (), "") for form in dict.fromkeys((whole, bare, *ends)) if form]


LANGUAGE = English(
    name="English",
    joiners="'’‐‑-",
    opening="From my experience,",
    ask_without_gender="Describe the picture without saying whether anyone is a man or a woman.",
    caption_column="english_prompt",
    colour="#0173B2",
    characters_per_token=4.2,
    characters_basis="measured on 2026-11-20, tokenizer of gemma-3-270m (the one of all Gemma 3) on 1,000 drawn captions",
)
