"""Does the gender direction of one language tell gender in another?"""

from pathlib import Path
from typing import Any

from crosslens.summary.reading import Document
from crosslens.summary.records.base import Files, Record, bounds, check_pairs


def records(files: Files) -> dict[str, list[Record]]:
    """`transfer` and `directions` of the one document of a site."""
    (path,) = files["gender_transfer"].values()
    return {"transfer": transfer_records(path), "directions": direction_records(path)}


def check(summary: dict[str, Any]) -> None:
    """This site's."""
    check_pairs(summary, "transfer")


def transfer_records(path: Path) -> list[dict[str, Any]]:
    """One record per condition, source, target and method: AUROC on the target's test images with CI, and the band and p
    of random directions in the place of the learned one."""
    doc = Document(path, "gender_transfer")
    records = []
    for condition in doc("conditions"):
        lexical = doc("conditions", condition, "lexical")
        for row in doc("conditions", condition, "transfer"):
            null = {f"null_{name}": row["null"][name] for name in ("low", "high")}
            records.append(
                {"site": doc("site"), "condition": condition, "lexical": lexical}
                | {name: row[name] for name in ("source", "target", "method")}
                | {"n": sum(row["n"].values()), "groups": row["groups"]}
                | {f"n_{gender}": row["n"][gender] for gender in ("female", "male")}
                | bounds("auroc", row["auroc"])
                | null
                | {name: row[name] for name in ("tested", "because")}
                | {name: row["null"][name] for name in ("p", "least_p")}
                | {"q_family": _family(row, lexical)}
            )
    return records


def direction_records(path: Path) -> list[dict[str, Any]]:
    """One record per condition and pair of languages: the cosine of their gender directions, and each one's length.

    Lists have one entry a language: `train` images of known gender and their `train_groups`, `dropped` samples (train and
    test) that had nothing to pool over, `lengths` relative to the spread of the train images and their 95 % level under
    shuffled labels.
    """
    doc = Document(path, "gender_transfer")
    records = []
    for condition in doc("conditions"):
        languages = doc("conditions", condition, "languages")
        lexical = doc("conditions", condition, "lexical")
        for row in doc("conditions", condition, "cosine"):
            both = [languages[language] for language in row["languages"]]
            records.append(
                {
                    "site": doc("site"),
                    "condition": condition,
                    "lexical": lexical,
                }
                | {"languages": row["languages"], "cosine": row["value"]}
                | {name: row["null"][name] for name in ("p", "least_p")}
                | {"q_family": None if lexical or row["null"]["p"] is None else "masked"}
                | {"null_low": row["null"]["q025"], "null_high": row["null"]["q975"]}
                | {"train": [side["train"]["female"] + side["train"]["male"] for side in both]}
                | {"train_groups": [side["train"]["groups"] for side in both]}
                | {"dropped": [sum(side[s]["dropped_samples"] for s in ("train", "test")) for side in both]}
                | {"lengths": [side["direction"]["relative_norm"] for side in both]}
                | {"lengths_null": [side["direction"]["null"]["q95"] for side in both]}
            )
    return records


def _family(row: dict[str, Any], lexical: bool) -> str | None:
    """Every method, condition and ordered pair of two languages; the lexical condition has a family of its own."""
    if row["source"] == row["target"] or row["null"]["p"] is None:
        return None
    return "lexical" if lexical else "masked"
