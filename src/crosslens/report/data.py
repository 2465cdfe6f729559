"""The section on the data set: counts, agreement of the languages, quarantine."""

from typing import Any

from crosslens.report.numbers import plain
from crosslens.summary.names import language_name
from crosslens.summary.reading import Document

PICTURES = {
    "unit": "picture",
    "caption": "Pictures (captions) per split and gender",
    "clean": "Nothing was quarantined: every picture opened.",
}
PROMPTS = {
    "unit": "prompt",
    "caption": "Prompts (texts) per split",
    "clean": "Nothing was quarantined: the model wrote to every prompt.",
}


def dataset_view(summary: Document) -> dict[str, Any]:
    """What the page says about the data, out of the dataset summary."""
    counts = summary("counts")
    asked = summary("gender_source") != "none"
    genders = list(dict.fromkeys(cell["gender"] for cell in counts)) if asked else []
    splits = list(dict.fromkeys(cell["split"] for cell in counts))
    rows = [
        {"split": name, "cells": [_sum(counts, split, gender) for gender in [*genders, None]]}
        for name, split in [*((split, split) for split in splits), ("all", None)]
    ]
    source = {
        "column": "the gender is given by the source",
        "caption": "the gender is derived from the words of the captions",
    }.get(summary("gender_source"), summary("gender_source"))
    categories = {cell["category"] for cell in counts if cell["category"]}
    shown = PICTURES if asked else PROMPTS
    words = (
        f"{plain(summary('images'))} pictures with {plain(summary('rows'))} captions in each of "
        f"{', '.join(language_name(language) for language in summary('languages'))}; "
        f"{plain(len(categories)) if categories else 'no'} categories; {source}. "
        "A picture whose gender is not known is counted as unknown and never as one of the others."
        if asked
        else f"{plain(summary('images'))} prompts, {plain(summary('rows'))} texts that the model wrote, in "
        f"{', '.join(language_name(language) for language in summary('languages'))}."
    )
    return shown | {
        "genders": genders,
        "rows": rows,
        "images": summary("images"),
        "samples": summary("rows"),
        "quarantine": summary("quarantine"),
        "agreement": [*_languages(summary), *_column(summary)],
        "words": words,
    }


def _sum(counts: list[dict[str, Any]], split: str | None, gender: str | None) -> dict[str, int]:
    cells = [cell for cell in counts if split in (None, cell["split"]) and gender in (None, cell["gender"])]
    return {name: sum(cell[name] for cell in cells) for name in ("images", "rows")}


def _languages(summary: Document) -> list[str]:
    lines = []
    for pair in summary("agreement", "languages"):
        first, second = language_name(pair["first"]), language_name(pair["second"])
        lines.append(
            f"{first} and {second}: the same answer for {plain(pair['agree'])} of {plain(pair['images'])} pictures "
            f"(κ = {plain(pair['kappa'])}); where both name a gender, {plain(pair['decided_agree'])} of "
            f"{plain(pair['decided'])} (κ = {plain(pair['kappa_decided'])}); {plain(pair['contradict'])} contradict "
            "each other."
        )
    return lines


def _column(summary: Document) -> list[str]:
    return [
        f"{_derived(row['derived'])} captions and the source's gender: the same for {plain(row['agree'])} of "
        f"{plain(row['images'])} pictures (κ = {plain(row['kappa'])}); {plain(row['contradict'])} contradict it."
        for row in summary("agreement", "column")
    ]


def _derived(name: str) -> str:
    return "All languages'" if name == "combined" else language_name(name)
