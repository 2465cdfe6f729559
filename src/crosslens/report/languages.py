"""The sections on gender across languages and on captions across languages: tables and findings."""

from typing import Any

from crosslens.report.numbers import plain
from crosslens.stats.fdr import benjamini_hochberg
from crosslens.summary.names import language_name, site_name

LEVEL = 0.05
METHODS = {"difference_of_means": "difference of means", "logistic": "logistic regression"}
CONDITIONS = {
    "prompt": "before the caption",
    "caption": "caption, label words masked",
    "text": "prompt and caption, label words masked",
    "caption_whole": "whole caption, label words included: lexical",
}


def pair_name(*languages: str) -> str:
    """`English → Arabic`."""
    return " → ".join(language_name(language).split(" ")[0] for language in languages)


def transfer_view(transfer: list[dict], directions: list[dict]) -> list[dict[str, Any]]:
    """A group per condition: `pairs` as columns, `rows` of a site and method, `directions` of a site and pair.

    A row's `cells` stand in the order of `pairs`: across languages first, then each with itself.
    """
    groups = []
    for i, condition in enumerate(dict.fromkeys(record["condition"] for record in transfer)):
        records = [record for record in transfer if record["condition"] == condition]
        pairs = list(dict.fromkeys((record["source"], record["target"]) for record in records))
        pairs.sort(key=lambda pair: pair[0] == pair[1])
        at = {(r["site"], r["method"], r["source"], r["target"]): r for r in records}
        groups.append(
            {
                "condition": condition,
                "title": CONDITIONS.get(condition, condition),
                "open": i == 0,
                "pairs": [pair_name(*pair) for pair in pairs],
                "rows": [
                    {
                        "site": site,
                        "method": METHODS[method],
                        "cells": [at[site, method, *pair] for pair in pairs],
                    }
                    for site, method in dict.fromkeys((r["site"], r["method"]) for r in records)
                ],
                "directions": [
                    row
                    | {
                        "names": [pair_name(language) for language in row["languages"]],
                        "sides": list(zip(row["lengths"], row["lengths_null"], row["dropped"], strict=True)),
                    }
                    for row in directions
                    if row["condition"] == condition
                ],
            }
        )
    return groups


def retrieval_view(retrieval: list[dict], cka: list[dict]) -> list[dict[str, Any]]:
    """A row per site, pair of languages and direction, with the CKA of the pair."""
    alike = {(row["site"], *sorted(row["languages"])): row for row in cka}
    plainly = {(r["site"], r["source"], r["target"]): r for r in retrieval if not r["centred"]}
    return [
        record
        | {
            "name": pair_name(record["source"], record["target"]),
            "uncentred": plainly[record["site"], record["source"], record["target"]],
            "cka": alike[record["site"], *sorted((record["source"], record["target"]))],
        }
        for record in retrieval
        if record["centred"]
    ]


def transfer_words(directions: list[dict]) -> str:
    """How many samples had nothing left to pool over, per condition, language and layer alike."""
    told = {}
    for row in directions:
        for language, dropped in zip(row["languages"], row["dropped"], strict=True):
            if dropped:
                told[row["condition"], language] = dropped
    if not told:
        return "Every sample had a token to pool over."
    counts = (
        f"{plain(dropped)} in {language_name(language).split(' ')[0]} ({condition})"
        for (condition, language), dropped in told.items()
    )
    return f"Samples with no token left to pool over are left out: {', '.join(counts)}."


def same_text(cka: list[dict], units: str) -> str:
    """A sentence on captions that no representation could tell apart, or nothing; `units`: pictures or texts."""
    found = {
        language: same
        for row in cka
        for language, same in zip(row["languages"], row["same_text"], strict=True)
        if same
    }
    if not found:
        return ""
    counts = ", ".join(
        f"{plain(same)} in {language_name(language).split(' ')[0]}" for language, same in found.items()
    )
    return f"{units.capitalize()} whose caption another one has word for word cannot be told apart: {counts}."


def transfer_finding(transfer: list[dict], directions: list[dict], units: str) -> dict[str, Any]:
    """Does gender transfer? The family of the correction is every layer, method, condition and ordered pair of two
    languages without the lexical condition, which has a family of its own and a line of its own."""
    across = [record for record in transfer if record["source"] != record["target"]]
    masked = [record for record in across if not record["lexical"]]
    lexical = [record for record in across if record["lexical"]]
    lines = [line for line in (_best(masked, transfer), _lexical(lexical), _cosine(directions)) if line]
    family = "the gender direction of one language"
    if not [record for record in across if record["auroc"] is not None]:
        return {
            "kind": "null",
            "title": "No gender direction could be learned in one language and tested in another.",
            "lines": [f"There are too few {units} of known gender with a word left to pool over."],
        }
    yes, tested = _beyond(masked)
    if not yes:
        title = f"Label words masked, {family} does not tell gender in the other beyond chance."
        return {"kind": "null", "title": title, "lines": lines}
    title = (
        f"Label words masked, {family} tells gender in the other in {len(yes)} of {tested} cases "
        "(layers, methods, conditions and directions; q < .05)."
    )
    return {"kind": "found", "title": title, "lines": lines}


def _beyond(records: list[dict]) -> tuple[list[dict], int]:
    """The records above .5 with q < LEVEL, and how many were tested."""
    tested = [record for record in records if record["p"] is not None]
    if not tested:
        return [], 0
    q = benjamini_hochberg([record["p"] for record in tested])
    return [r for r, value in zip(tested, q, strict=True) if value < LEVEL and r["auroc"] > 0.5], len(tested)


def _best(records: list[dict], transfer: list[dict]) -> str:
    """Where each direction peaks, beside what the target's own direction reads there."""
    told = []
    for source, target in dict.fromkeys((record["source"], record["target"]) for record in records):
        scored = [
            r for r in records if (r["source"], r["target"]) == (source, target) and r["auroc"] is not None
        ]
        if not scored:
            told.append(f"{pair_name(source, target)} could not be scored.")
            continue
        best = max(scored, key=lambda record: record["auroc"])
        own = next(
            r
            for r in transfer
            if (r["source"], r["target"]) == (target, target)
            and all(r[name] == best[name] for name in ("site", "condition", "method"))
        )
        condition = CONDITIONS.get(best["condition"], best["condition"])
        told.append(
            f"{pair_name(source, target)} peaks at {site_name(best['site'])} ({condition}; "
            f"{METHODS[best['method']]}): AUROC {plain(best['auroc'])}{_interval(best, 'auroc')}, "
            f"n = {plain(best['n'])}, p = {plain(best['p'])}, the largest of {len(scored)}; "
            f"{language_name(target).split(' ')[0]}'s own direction reads {plain(own['auroc'])} there."
        )
    return " ".join(told)


def _lexical(records: list[dict]) -> str:
    yes, tested = _beyond(records)
    if not tested:
        return ""
    told = []
    for source, target in dict.fromkeys((record["source"], record["target"]) for record in records):
        scored = [r for r in records if (r["source"], r["target"]) == (source, target) and r["p"] is not None]
        if scored:
            best = max(scored, key=lambda record: record["auroc"])
            told.append(
                f"{pair_name(source, target)} up to {plain(best['auroc'])} at {site_name(best['site'])}"
            )
    return (
        "With the label words included, which is a lexical matter, it does so in "
        f"{len(yes)} of {tested} cases: {'; '.join(told)}."
    )


def _cosine(directions: list[dict]) -> str:
    measured = [row for row in directions if not row["lexical"] and row["p"] is not None]
    if not measured:
        return ""
    best = max(measured, key=lambda row: row["cosine"])
    q = benjamini_hochberg([row["p"] for row in measured])
    yes = sum(value < LEVEL and row["cosine"] > 0 for value, row in zip(q, measured, strict=True))
    return (
        f"The directions point the same way beyond labels shuffled alike in both languages in {yes} of {len(measured)} "
        f"cases; the largest cosine is {plain(best['cosine'], 2)} at {site_name(best['site'])} ({best['condition']}; "
        f"shuffled: {plain(best['null_low'], 2)} to {plain(best['null_high'], 2)}, p = {plain(best['p'])})."
    )


def retrieval_finding(retrieval: list[dict], cka: list[dict], units: str) -> dict[str, Any]:
    """Are translations found? The layer with the largest centred R@1 of each direction, and where CKA peaks."""
    lines, found = [], False
    centred = [record for record in retrieval if record["centred"]]
    for source, target in dict.fromkeys((record["source"], record["target"]) for record in centred):
        rows = [r for r in centred if (r["source"], r["target"]) == (source, target)]
        best = max(rows, key=lambda record: record["r1"])
        found |= best["r1_low"] > best["r1_chance"]
        lines.append(
            f"{pair_name(source, target)} peaks at {site_name(best['site'])}: R@1 {plain(best['r1'])}"
            f"{_interval(best, 'r1')}, MRR {plain(best['mrr'])}, n = {plain(best['images'])} {units}, chance "
            f"{plain(best['r1_chance'])}; the largest of {len(rows)}."
        )
    measured = [row for row in cka if row["unbiased"] is not None]
    if measured:
        best = max(measured, key=lambda row: row["unbiased"])
        lines.append(
            f"Unbiased CKA is largest at {site_name(best['site'])}: {plain(best['unbiased'])} (pairs shuffled: 95 % "
            f"below {plain(best['unbiased_q95'])}, p = {plain(best['unbiased_p'])})."
        )
    if found:
        title = f"A caption's translation is found among all {units} more often than by chance."
        return {"kind": "found", "title": title, "lines": lines}
    title = "A caption's translation is not found more often than by chance."
    return {"kind": "null", "title": title, "lines": lines}


def _interval(record: dict[str, Any], name: str) -> str:
    low, high = record[f"{name}_low"], record[f"{name}_high"]
    return "" if low is None or high is None else f" [{plain(low)}, {plain(high)}]"
