"""Gendered words behind another one of their sentence, in sentences that are there in two genders."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd

GENDERS = ("female", "male")
LEFT_OUT = (
    "not of both genders",
    "another number of gendered words",
    "other words around them",
    "no gendered word behind another",
)
"""Why a sentence has no target."""


class Target(NamedTuple):
    """A gendered word behind another one of its sentence."""

    group: str
    """Its sentence."""
    split: str
    target: int
    """Its place among the sentence's gendered words, from 0."""
    before: int
    """Gendered words before it whose two forms differ."""
    distance: int
    """Words from the end of the first of them to its own end."""
    prompt: str
    prefix: dict[str, str]
    """Gender -> its sentence up to the word."""
    form: dict[str, str]
    """Gender -> the word, to its end: of "<F>actress</F>es" it is "actresses"."""
    read: dict[str, list[tuple[int, int]]]
    """Gender -> where in the prefix the gendered words before it are, characters from and to."""


def targets_of(dataset: pd.DataFrame) -> tuple[list[Target], dict[str, int]]:
    """Every target of the rows of known gender, and how many sentences have none, by LEFT_OUT.

    dataset: of kind dataset, with `group` (the sentence), a row of it for each gender. A sentence is used where its two rows
    have equally many label spans and, but for white space, the same text around them: then the spans are the same words in
    two genders, and the two prefixes of a target differ in gendered words alone.
    """
    found: list[Target] = []
    left_out = dict.fromkeys(LEFT_OUT, 0)
    known = dataset[dataset["gender"].isin(GENDERS)]
    for group, rows in known.groupby("group", sort=False):
        versions = {row["gender"]: row for row in rows.to_dict("records")}
        if len(rows) != 2 or len(versions) != 2:
            left_out["not of both genders"] += 1
            continue
        around, words = zip(*(_parts(versions[gender]) for gender in GENDERS), strict=True)
        plain = [[" ".join(text.split()) for text in texts] for texts in around]
        if len(words[0]) != len(words[1]):
            left_out["another number of gendered words"] += 1
        elif plain[0] != plain[1]:
            left_out["other words around them"] += 1
        elif own := list(_targets(str(group), versions["female"], around, words)):
            found += own
        else:
            left_out["no gendered word behind another"] += 1
    return found, left_out


def _parts(row: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The texts around the label spans, one more than these, and the texts in them."""
    around, words, at = [], [], 0
    for start, end in json.loads(row["label_spans"]):
        around.append(row["caption"][at:start])
        words.append(row["caption"][start:end])
        at = end
    return [*around, row["caption"][at:]], words


def _targets(
    group: str, row: dict[str, Any], around: tuple[list[str], ...], words: tuple[list[str], ...]
) -> Iterator[Target]:
    """around, words: of GENDERS, in that order."""
    texts, first_end = ["", ""], 0
    read: list[list[tuple[int, int]]] = [[], []]
    for i, forms in enumerate(zip(*words, strict=True)):
        prefix = [text + parts[i] for text, parts in zip(texts, around, strict=True)]
        if read[0] and forms[0] != forms[1]:
            ends = [re.match(r"\w*", parts[i + 1])[0] for parts in around]
            whole = [form + end for form, end in zip(forms, ends, strict=True)]
            yield Target(
                group,
                row["split"],
                i,
                len(read[0]),
                len((prefix[0] + whole[0])[first_end:].split()),
                row["prompt"],
                dict(zip(GENDERS, prefix, strict=True)),
                dict(zip(GENDERS, whole, strict=True)),
                {gender: [*own] for gender, own in zip(GENDERS, read, strict=True)},
            )
        texts = [text + form for text, form in zip(prefix, forms, strict=True)]
        if forms[0] != forms[1]:
            first_end = first_end or len(texts[0])
            for own, start, text in zip(read, prefix, texts, strict=True):
                own.append((len(start), len(text)))
