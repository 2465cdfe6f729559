"""What people are told of the measures and controls of a study."""

from typing import Any

from crosslens.data.languages import language_of
from crosslens.summary.names import pair_name, short_name

MEASURES = {
    "explained_variance": "explained variance",
    "gendered": "share of features that are gendered",
    "probe": "probe of gender (AUROC)",
    "transfer": "gender direction in another language (AUROC)",
    "effects": "effects in two languages (r)",
    "shared": "share of features that are shared",
    "retrieval": "translation found first (R@1)",
    "cka": "unbiased CKA",
}
CONTROLS = {
    "": "this study",
    "random_init": "untrained model",
    "frozen_decoder": "frozen decoder",
    "romanised": "in Latin letters",
    "shuffled": "words shuffled",
}
OF_ACTIVATIONS = ("probe", "transfer", "retrieval", "cka")
"""Measures that read no SAE."""


def told_of(of: list[str], measure: str) -> str:
    """A language, or two: from one to the other, or both."""
    if len(of) == 1:
        return short_name(of[0])
    return pair_name(*of) if measure in ("transfer", "retrieval") else " and ".join(map(short_name, of))


def unchanged(record: dict[str, Any]) -> bool:
    """Whether its control leaves a measure as it is: no SAE is read, or no text that has other letters than Latin ones."""
    if record["measure"] not in OF_ACTIVATIONS:
        return False
    control = record["control"]
    return control == "frozen_decoder" or (
        control == "romanised" and not any(language_of(name).romanisation for name in record["of"])
    )


def by_line(records: list[dict[str, Any]]) -> dict[tuple[str, tuple[str, ...], str], list[dict[str, Any]]]:
    """(measure, of, control) -> its records by depth, without those that a control leaves as they are."""
    lines: dict[tuple[str, tuple[str, ...], str], list[dict[str, Any]]] = {}
    for record in records:
        if not unchanged(record):
            lines.setdefault((record["measure"], tuple(record["of"]), record["control"]), []).append(record)
    return lines
