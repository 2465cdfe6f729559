"""Features by their ids and, where one is worth it, their labels."""

from typing import Any

from markupsafe import Markup

from crosslens.report.html import tag
from crosslens.report.sections.base import Results
from crosslens.summary.claims import describes
from crosslens.summary.names import direction

Labels = dict[tuple[str, str, str, int], Markup]
"""(site, corpus, language, feature) to what is shown."""


def told_labels(results: Results) -> Labels:
    """The labels that tell where their feature fires, a model's before n-grams."""
    found: Labels = {}
    for row in sorted(results.records("descriptions"), key=lambda row: row["method"] == "endpoint"):
        if describes(row, results.level):
            found[row["site"], row["corpus"], row["language"], row["feature"]] = shown_label(row)
    return found


def shown_label(row: dict[str, Any]) -> Markup:
    """A record's label; n-grams are words of its language, a model says it in whichever it likes."""
    label = f"“{row['label']}”"
    if row["method"] != "ngrams":
        return tag("span", label, dir="auto")
    return tag("span", label, dir=direction(row["language"]), lang=row["language"])


def labelled(name: Markup, label: Markup | None) -> Markup:
    """`#12`, or with a label `#12 “nurse”`."""
    return Markup("{} {}").format(name, label) if label else name
