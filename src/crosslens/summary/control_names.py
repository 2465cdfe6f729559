"""What people are told of the measures and controls of a study."""

from typing import Any

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
SAME = {"frozen_decoder": ("probe", "transfer", "retrieval", "cka")}
"""What a control leaves as it is: measures that read no SAE."""


def told_of(of: list[str], measure: str) -> str:
    """A language, or two: from one to the other, or both."""
    if len(of) == 1:
        return short_name(of[0])
    return pair_name(*of) if measure in ("transfer", "retrieval") else " and ".join(map(short_name, of))


def by_line(records: list[dict[str, Any]]) -> dict[tuple[str, tuple[str, ...], str], list[dict[str, Any]]]:
    """(measure, of, control) -> its records by depth, without those that a control leaves as they are."""
    lines: dict[tuple[str, tuple[str, ...], str], list[dict[str, Any]]] = {}
    for record in records:
        if record["measure"] not in SAME.get(record["control"], ()):
            lines.setdefault((record["measure"], tuple(record["of"]), record["control"]), []).append(record)
    return lines
