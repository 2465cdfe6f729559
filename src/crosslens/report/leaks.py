"""The bag of words in words: which conditions leak, and what masking does not take away."""

from collections.abc import Sequence

from crosslens.report.numbers import bracketed, plain
from crosslens.report.sections.base import Finding, Record, languages_of
from crosslens.report.terms import READ_ALL_THE_SAME
from crosslens.summary.beyond import no_words
from crosslens.summary.conditions import masks_words
from crosslens.summary.names import language_name


def words_shown(words: Record | None) -> str:
    """AUROC of a bag of words with its interval, and whether it leaks; why there is none."""
    if words is None:
        return "not measured"
    if words["auroc"] is None:
        return "none to read" if no_words(words) else f"not tested, because {words['because']}"
    return f"{plain(words['auroc'])}{bracketed(words, 'auroc')}" + (" leaking" if words["leaks"] else "")


def read_all_the_same(found: Sequence[Record], words: Sequence[Record]) -> list[str]:
    """That the model has read what is masked, where something is found with words masked: it may be what these said."""
    masked = any(masks_words(record["condition"], words, languages_of(record)) for record in found)
    return [READ_ALL_THE_SAME] if masked else []


def leaks_finding(words: Sequence[Record], conditions: Sequence[str]) -> Finding | None:
    """A warning where the words that are pooled in a condition tell the gender; None where none do."""
    leaking = {
        (w["condition"], w["language"]): w for w in words if w["condition"] in conditions and w["leaks"]
    }
    if not leaking:
        return None
    lines = [
        f"Condition {condition}, {language_name(language)}: AUROC {words_shown(told)}"
        f"{'' if told['masked'] else ' (nothing is masked)'}."
        for (condition, language), told in leaking.items()
    ]
    left = "left after masking still" if any(told["masked"] for told in leaking.values()) else "there"
    lines.append(
        "A bag of these words, without any model, tells the gender: what features, probes and transfer find in a leaking "
        "condition may be the words."
    )
    return Finding("warning", f"Leaking: the words that are {left} tell the gender.", lines)
