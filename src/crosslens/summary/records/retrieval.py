"""Do captions lie beside their translations?"""

from math import factorial
from pathlib import Path
from typing import Any

from crosslens.stats.shuffles import RETRIEVAL
from crosslens.stats.tested import permutation_floor
from crosslens.summary.reading import Document
from crosslens.summary.records.base import Files, Record, bounds, check_pairs

_COUNTS = ("images", "units", "because")


def records(files: Files) -> dict[str, list[Record]]:
    """`retrieval`, `cka` and `above_prompt` of the one document of a site."""
    (path,) = files["retrieval"].values()
    return {
        "retrieval": retrieval_records(path),
        "cka": cka_records(path),
        "above_prompt": above_prompt_records(path),
    }


def check(summary: dict[str, Any]) -> None:
    """This site's."""
    check_pairs(summary, "retrieval")


def retrieval_records(path: Path) -> list[dict[str, Any]]:
    """One record per what was read, source, target and centring: R@1, R@5 and MRR with CI beside chance, over `units`
    candidates, which are `images`. `p`, of R@1, is corrected in the family `words` where the words alone decide: read
    without pictures.
    """
    doc = Document(path, "retrieval")
    records = []
    for pair in doc("pairs"):
        for row in pair["retrieval"]:
            record = {"site": doc("site")} | {name: pair[name] for name in _COUNTS}
            record |= {name: row[name] for name in ("read", "source", "target", "centred")}
            for name in pair["chance"]:
                record |= bounds(name, row[name]) | {f"{name}_chance": pair["chance"][name]}
            words = row["centred"] and row["read"] == _words(pair) and pair["tested"]
            least = permutation_floor(RETRIEVAL, arrangements=factorial(pair["units"]))
            test = {"p": row["r1"]["p"], "least_p": least, "q_family": "words" if words else None}
            records.append(record | test)
    return records


def cka_records(path: Path) -> list[dict[str, Any]]:
    """One record per what was read and pair of languages: CKA, unbiased and biased, beside the mean and 95 % level of
    shuffled pairs. `p`, of the unbiased one, is corrected as in `retrieval_records`.

    `same_text`: per language, images whose captions another image has too.
    """
    doc = Document(path, "retrieval")
    records = []
    for pair in doc("pairs"):
        for row in pair["cka"]:
            same = dict(zip(pair["languages"], pair["same_text"], strict=True))
            record = {"site": doc("site")} | {name: pair[name] for name in _COUNTS}
            record |= {name: row[name] for name in ("read", "languages")}
            record["same_text"] = [same[language] for language in row["languages"]]
            for name in ("linear", "unbiased"):
                null = row[name]["null"]
                record |= {name: row[name]["value"], f"{name}_null": null["mean"]}
                record |= {f"{name}_q95": null["q95"], f"{name}_p": null["p"]}
            words = row["read"] == _words(pair) and record["unbiased_p"] is not None
            test = {name: row["unbiased"]["null"][name] for name in ("p", "least_p")}
            records.append(record | test | {"q_family": "words" if words else None})
    return records


def above_prompt_records(path: Path) -> list[dict[str, Any]]:
    """One record per source and target of a study with pictures: what captions score more than the prompt behind the
    picture alone, centred, with CI. `p`, of R@1, is two-sided and corrected over all of them; `least_p`
    is what it would be if every unit moved the same way.
    """
    doc = Document(path, "retrieval")
    records = []
    for pair in doc("pairs"):
        for row in pair["above_prompt"]:
            record = {"site": doc("site")} | {name: pair[name] for name in _COUNTS}
            record |= {name: row[name] for name in ("source", "target")}
            for name in (*pair["chance"], "cka"):
                record |= bounds(name, row[name]) | {f"{name}_p": row[name]["p"]}
            record["least_p"] = max(2.0 ** (1 - pair["units"]), permutation_floor(RETRIEVAL))
            records.append(
                record | {"p": row["r1"]["p"], "q_family": "above_prompt" if pair["tested"] else None}
            )
    return records


def _words(pair: dict[str, Any]) -> str:
    """What was read where the words alone decide: captions without pictures, or captions that have none."""
    return "alone" if any(row["read"] == "alone" for row in pair["retrieval"]) else "caption"
