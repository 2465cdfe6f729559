"""The section on the data set: counts, agreement of the languages, quarantine."""

from typing import Any

from crosslens.report.numbers import plain
from crosslens.summary.names import language_name
from crosslens.summary.reading import Document

SOURCES = {
    "column": "the gender is given by the source",
    "caption": "the gender is derived from the words of the captions",
}


def dataset_view(summary: Document, words: dict[str, str]) -> dict[str, Any]:
    """What the page says about the data, out of the dataset summary; `words` as of `words_of`."""
    counts = summary("counts")
    asked = summary("gender_source") != "none"
    genders = list(dict.fromkeys(cell["gender"] for cell in counts)) if asked else []
    splits = list(dict.fromkeys(cell["split"] for cell in counts))
    rows = [
        {"split": name, "cells": [_sum(counts, split, gender) for gender in [*genders, None]]}
        for name, split in [*((split, split) for split in splits), ("all", None)]
    ]
    return {
        "caption": f"{words['Units']} ({words['samples']}) per split{' and gender' if asked else ''}",
        "genders": genders,
        "rows": rows,
        "images": summary("images"),
        "samples": summary("rows"),
        "quarantine": summary("quarantine"),
        "agreement": [*_languages(summary, words["units"]), *_column(summary, words["units"])],
        "words": _words(summary, words),
    }


def _words(summary: Document, words: dict[str, str]) -> str:
    told = [
        words["counted"].format(
            images=plain(summary("images")),
            rows=plain(summary("rows")),
            languages=", ".join(language_name(language) for language in summary("languages")),
        )
    ]
    if categories := {cell["category"] for cell in summary("counts") if cell["category"]}:
        told.append(f"{plain(len(categories))} categories")
    source = summary("gender_source")
    if source == "none":
        return "; ".join(told) + "."
    told.append(SOURCES.get(source, source))
    return (
        f"{'; '.join(told)}. "
        f"A {words['unit']} whose gender is not known is counted as unknown and never as one of the others."
    )


def _sum(counts: list[dict[str, Any]], split: str | None, gender: str | None) -> dict[str, int]:
    cells = [cell for cell in counts if split in (None, cell["split"]) and gender in (None, cell["gender"])]
    return {name: sum(cell[name] for cell in cells) for name in ("images", "rows")}


def _languages(summary: Document, units: str) -> list[str]:
    lines = []
    for pair in summary("agreement", "languages"):
        first, second = language_name(pair["first"]), language_name(pair["second"])
        lines.append(
            f"{first} and {second}: the same answer for {plain(pair['agree'])} of {plain(pair['images'])} {units} "
            f"(κ = {plain(pair['kappa'])}); where both name a gender, {plain(pair['decided_agree'])} of "
            f"{plain(pair['decided'])} (κ = {plain(pair['kappa_decided'])}); {plain(pair['contradict'])} contradict "
            "each other."
        )
    return lines


def _column(summary: Document, units: str) -> list[str]:
    return [
        f"{_derived(row['derived'])} captions and the source's gender: the same for {plain(row['agree'])} of "
        f"{plain(row['images'])} {units} (κ = {plain(row['kappa'])}); {plain(row['contradict'])} contradict it."
        for row in summary("agreement", "column")
    ]


def _derived(name: str) -> str:
    return "All languages'" if name == "combined" else language_name(name)
