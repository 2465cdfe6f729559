"""What a condition is called: words are said to be masked only where some are."""

from collections.abc import Sequence
from typing import Any

from crosslens.summary.names import short_name

Record = dict[str, Any]

SEEN = {
    "prompt": "before the caption",
    "caption": "caption read",
    "generated": "own caption written",
    "text": "prompt and caption read",
    "caption_whole": "whole caption",
    "generated_whole": "whole own caption",
}
NOTHING = "no label words found, so nothing is masked"
MASKED = "label words masked"


def condition_name(condition: str, words: Sequence[Record], languages: Sequence[str] = ()) -> str:
    """`caption read, label words masked`, as of `masking`."""
    return ", ".join(filter(None, (SEEN.get(condition, condition), masking(condition, words, languages))))


def masking(condition: str, words: Sequence[Record], languages: Sequence[str] = ()) -> str:
    """What is masked of a condition in these languages, all where none is named; empty of a prompt and where it is not known.

    words: records of kind words.
    """
    if condition == "prompt":
        return ""
    whole = condition.endswith("_whole")
    masked = {
        record["language"]: record["masked"]
        for record in words
        if record["condition"] == condition.removesuffix("_whole")
        and (not languages or record["language"] in languages)
    }
    bare = [language for language, count in masked.items() if not count]
    if whole:
        return (
            "as nothing is masked" if masked and len(bare) == len(masked) else "label words included: lexical"
        )
    if not masked:
        return ""
    if len(bare) == len(masked):
        return NOTHING
    return MASKED + (
        f", but in {', '.join(map(short_name, bare))} none found and nothing masked" if bare else ""
    )


def masks_words(condition: str, words: Sequence[Record], languages: Sequence[str] = ()) -> bool:
    """Whether words are masked of a condition, in one of these languages at least; see `masking`."""
    return masking(condition, words, languages).startswith(MASKED)
