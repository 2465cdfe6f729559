"""The bag of words in words: which conditions leak."""

from collections.abc import Sequence

from crosslens.report.numbers import bracketed, plain
from crosslens.report.sections.base import Finding, Record
from crosslens.summary.names import language_name


def words_shown(words: Record | None) -> str:
    """AUROC of a bag of words with its interval, and whether it leaks; why there is none."""
    if words is None:
        return "not measured"
    if words["auroc"] is None:
        return (
            "none to read"
            if "same for all" in words["because"]
            else f"not tested, because {words['because']}"
        )
    return f"{plain(words['auroc'])}{bracketed(words, 'auroc')}" + (" leaking" if words["leaks"] else "")


def leaking(words: Sequence[Record], condition: str) -> list[str]:
    """The languages whose words tell the gender in a condition, each with its AUROC."""
    seen = {w["language"]: w for w in words if w["condition"] == condition and w["leaks"]}
    return [f"{language_name(name)}, AUROC {words_shown(w)}" for name, w in seen.items()]


def leaks_finding(words: Sequence[Record], conditions: Sequence[str]) -> Finding | None:
    """A warning where the words that are left of a condition tell the gender; None where none do."""
    found = {condition: leaking(words, condition) for condition in conditions}
    found = {condition: languages for condition, languages in found.items() if languages}
    if not found:
        return None
    lines = [f"Condition {condition}: {'; '.join(languages)}." for condition, languages in found.items()]
    lines.append(
        "A bag of these words, without any model, tells the gender: what features, probes and transfer find in a leaking "
        "condition may be the words."
    )
    return Finding("warning", "Leaking: the words that are left after masking still tell the gender.", lines)
