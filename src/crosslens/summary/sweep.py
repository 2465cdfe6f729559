"""A sweep of SAE settings: the Pareto set of L0 against FVU, and the setting to take."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crosslens.summary.reading import Document
from crosslens.summary.records.quality import sae_records
from crosslens.tables.documents import write_json

OWN = "study"
"""What the study's own SAE is called among the variants."""
CE_LOSS = 0.01
"""How much less cross-entropy than the best a sparser setting may recover and still be recommended."""
L0_SAME = 0.02
"""Share of L0 by which settings of one k differ."""

Paths = Mapping[str | None, Mapping[str, Path]]


def compare_settings(
    *,
    site: str,
    corpus: str,
    variants: Mapping[str, Mapping[str, Any]],
    quality: Paths,
    spliced: Paths,
    out: Path,
) -> None:
    """Write JSON of kind `sweep`: every setting's L0, FVU and CE recovered, the Pareto set, and a recommendation.

    The recommendation is by split select alone, so that the test split has not chosen what it reports.
    variants: name to the settings it changes. quality, spliced: variant (None: the study's own SAE) to language to
    file. Numbers of a setting are means over its languages; those of each language stand beside them. A setting is
    in the Pareto set if no other has both a smaller or equal L0 and FVU, and one of them smaller; one whose FVU is
    undefined is not.
    """
    settings = []
    for variant, files in quality.items():
        records = sae_records(
            {f"{corpus}/{language}": path for language, path in files.items()},
            {f"{corpus}/{language}": path for language, path in spliced.get(variant, {}).items()},
        )
        setting = _setting(variant or OWN, dict(variants.get(variant, {})), records)
        settings.append(setting | {"select": _on_select(files, spliced.get(variant, {}))})
    for setting in settings:
        setting["pareto"] = setting in undominated(settings)
    name, why = recommend([{"name": setting["name"], **setting["select"]} for setting in settings])
    write_json(
        out,
        "sweep",
        {
            "site": site,
            "corpus": corpus,
            "settings": sorted(settings, key=lambda setting: (setting["l0"], setting["name"])),
            "chosen_on": "select",
            "recommended": name,
            "why": why,
        },
    )


def _setting(name: str, changes: dict[str, Any], records: list[dict[str, Any]]) -> dict[str, Any]:
    columns = ("l0", "fvu", "ce_recovered", "live", "dead")
    own = (*columns, "ce_recovered_ci", "tokens", "sae")
    languages = {record["language"]: {column: record[column] for column in own} for record in records}
    failed = [
        {"language": record["language"], "gate": gate["gate"], "says": gate["says"]}
        for record in records
        for gate in record["gates"]
        if gate["passed"] is False
    ]
    return {
        "name": name,
        "changes": changes,
        **{field: records[0][field] for field in ("architecture", "d_sae")},
        **{column: _mean([record[column] for record in records]) for column in columns},
        "gates_failed": failed,
        "languages": languages,
    }


def _on_select(quality: Mapping[str, Path], spliced: Mapping[str, Path]) -> dict[str, Any]:
    """What `recommend` looks at, means over languages."""
    measured = {language: Document(path, "quality")("select") for language, path in quality.items()}
    cost = [Document(path, "spliced")("select", "ce_recovered", "zero") for path in spliced.values()]
    return {
        "l0": _mean([one["l0"] for one in measured.values()]),
        "fvu": _mean([one["fvu"] for one in measured.values()]),
        "ce_recovered": _mean(cost) if cost else None,
        "gates_failed": [
            {"language": language, "gate": gate, "says": found["says"]}
            for language, one in measured.items()
            for gate, found in one["gates"].items()
            if found["passed"] is False
        ],
    }


def _mean(values: list[float | None]) -> float | None:
    return None if None in values else sum(values) / len(values)


def undominated(settings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The Pareto set of L0 and FVU: those that no other of `settings` beats."""
    known = [setting for setting in settings if setting["fvu"] is not None]
    return [setting for setting in known if not any(_beats(other, setting) for other in known)]


def _beats(other: dict[str, Any], setting: dict[str, Any]) -> bool:
    first, second = (other["l0"], other["fvu"]), (setting["l0"], setting["fvu"])
    return first[0] <= second[0] and first[1] <= second[1] and first != second


def recommend(settings: list[dict[str, Any]]) -> tuple[str, str]:
    """The name of the setting to take by numbers of split select, and why, in words.

    Of the settings that pass all gates (of all, where none does), those that none of the others beats; of these the
    one of the smallest L0 whose cross-entropy recovered is within CE_LOSS of the best; where others have that L0 but
    for L0_SAME of it, the one of them with the smallest FVU.
    """
    passing = [setting for setting in settings if not setting["gates_failed"]]
    candidates = passing or settings
    front = undominated(candidates) or candidates
    measured = [setting for setting in front if setting["ce_recovered"] is not None]
    gates = (
        f"; {len(settings) - len(passing)} of {len(settings)} fail a quality gate and were left out"
        if passing
        else "; none passes all quality gates"
    )
    gates = "" if len(passing) == len(settings) else gates
    if not measured:
        best = min(front, key=lambda setting: math.inf if setting["fvu"] is None else setting["fvu"])
        fvu = "undefined" if best["fvu"] is None else f"{best['fvu']:.3f}"
        return best["name"], f"the smallest FVU, {fvu}; cross-entropy was not measured{gates}"
    limit = max(setting["ce_recovered"] for setting in measured) - CE_LOSS
    kept = [setting for setting in measured if setting["ce_recovered"] >= limit]
    fewest = min(setting["l0"] for setting in kept)
    # k is an exact number to some architectures and an average to others
    alike = [setting for setting in kept if setting["l0"] <= (1 + L0_SAME) * fewest]
    taken = min(alike, key=lambda setting: math.inf if setting["fvu"] is None else setting["fvu"])
    return taken["name"], (
        f"the fewest active features, L0 {taken['l0']:.1f}, among the settings that no other beats and that recover "
        f"cross-entropy to within {CE_LOSS} of the best ({taken['ce_recovered']:.4f} of it){gates}"
    )
