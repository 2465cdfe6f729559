"""What a probe reads, beside what the words tell and what a control task reaches."""

from collections.abc import Sequence
from typing import Any

from crosslens.summary.tested import decided

Record = dict[str, Any]

READINGS = {
    "beyond": "beyond words and control",
    "control": "no more than the control task",
    "words": "no more than the words tell",
    "unknown": "unknown: no bag of words to compare with",
    "chance": "not beyond chance",
    "untested": "not tested",
}
"""What `reading` says, in words, the strongest first."""


def words_beside(words: Sequence[Record], language: str, condition: str) -> Record | None:
    """The bag of words of a language and condition; None where it was not measured."""
    return next((w for w in words if (w["language"], w["condition"]) == (language, condition)), None)


def reading(probe: Record, words: Record | None, level: float) -> str:
    """One of READINGS, of a record of kind probes that has its q.

    Not beyond chance unless q <= level and the interval is above .5; no more than the words, or the control task, unless
    the interval is above theirs (of the control: above all its repeats). Words that are the same in all images have
    nothing to be above; what a bag of words tells that was not measured, or has no interval, is unknown. Where there is no
    control task, as with one category, there is none to be above.
    """
    if not decided(probe):
        return "untested"
    low = probe["auroc_low"]
    if low is None or probe["q"] > level or low <= 0.5:
        return "chance"
    above = None if words is None or words["auroc"] is None else words["auroc_high"]
    if above is not None and low <= above:
        return "words"
    if probe["control_high"] is not None and low <= probe["control_high"]:
        return "control"
    return "unknown" if above is None and not no_words(words) else "beyond"


def no_words(words: Record | None) -> bool:
    """Whether there are no words that could tell anything: they are the same for all."""
    return words is not None and words["auroc"] is None and "same for all" in words["because"]
