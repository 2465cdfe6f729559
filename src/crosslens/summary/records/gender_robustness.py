"""Are the gendered features gendered however one looks?"""

from pathlib import Path
from typing import Any

from crosslens.summary.reading import Document, split_key
from crosslens.summary.records.base import Files, Record, check_records


def records(files: Files) -> dict[str, list[Record]]:
    """`robustness` and `named`: as `robustness_records` and `named_records`."""
    found = files["gender_robustness"]
    return {"robustness": robustness_records(found), "named": named_records(found)}


def check(summary: dict[str, Any]) -> None:
    """The SAEs whose quality was measured."""
    check_records(summary, "robustness")
    check_records(summary, "named")


def robustness_records(paths: dict[str, Path]) -> list[Record]:
    """One record per SAE, language, condition and view: how many gendered features are gendered there in their direction."""
    return [
        of
        | {name: view[name] for name in ("view", "kind", "live", "testable", "kept", "share", "cosine")}
        | {"gendered": sum(told["gendered"].values())}
        | {"gendered_there": sum(view["gendered"].values())}
        | {"chance": view["chance"]["mean"], "chance_q95": view["chance"]["q95"]}
        for of, told in _conditions(paths)
        for view in told["views"]
    ]


def named_records(paths: dict[str, Path]) -> list[Record]:
    """One record per feature that the page may name: is it gendered in its direction read otherwise, in how many seeds?

    None where it fires too rarely in a reading to be tested; `seeds_tested` are those in which its partner could be.
    `cosine`: the mean over the other seeds, of the decoder rows; None without them.
    """
    return [
        of
        | {name: feature[name] for name in ("feature", "side", "confirmed")}
        | {
            view["view"]: view["gendered"] if _tested(view) else None
            for view in feature["views"]
            if view["kind"] == "reading"
        }
        | _counted("seeds", [view for view in feature["views"] if view["kind"] == "seed"])
        | _counted("architectures", [view for view in feature["views"] if view["kind"] == "architecture"])
        | {"cosine": _mean([view["cosine"] for view in feature["views"] if view["kind"] == "seed"])}
        for of, told in _conditions(paths)
        for feature in told["named"]
    ]


def place_of(record: Record) -> tuple[Any, ...]:
    """By what a record of kind named is found from others: site, corpus, language, condition, feature and side."""
    return tuple(record[name] for name in ("site", "corpus", "language", "condition", "feature", "side"))


def _conditions(paths: dict[str, Path]):
    for key, path in paths.items():
        corpus, language = split_key(key)
        doc = Document(path, "gender_robustness")
        for condition in doc("conditions"):
            of = {"corpus": corpus, "language": language, "condition": condition}
            yield of | {name: doc(name) for name in ("site", "sae")}, doc("conditions", condition)


def _counted(name: str, views: list[dict[str, Any]]) -> dict[str, int]:
    return {name: len(views)} | {
        f"{name}_tested": sum(map(_tested, views)),
        f"{name}_kept": sum(view["gendered"] for view in views),
    }


def _tested(view: dict[str, Any]) -> bool:
    """Only what is testable in a view has a q there."""
    return view["q"] is not None


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
