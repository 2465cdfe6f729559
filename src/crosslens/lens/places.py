"""Where a model is about to write a word that tells a gender: what it has read, and the two words that may follow."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd

from crosslens.gender.targets import GENDERS, targets_of
from crosslens.models.inputs import Sample

PAIRS, PICTURES = "pairs", "pictures"
"""A place of each of two sentences that differ in their gendered words alone; the first gendered word behind a picture."""


class GenderPlace(NamedTuple):
    """One of them."""

    group: str
    split: str
    gender: str
    """Of what was read: female, male; unknown where a picture hides it."""
    pair: str
    """What the two places of a pair have in common; empty for pictures."""
    sample: Sample
    """What was read: its caption ends before the word."""
    female: str
    male: str


class Places(NamedTuple):
    """Those of a table."""

    kind: str
    """PAIRS or PICTURES."""
    words: tuple[str, str] | None
    """The female and the male word, where they are the same everywhere."""
    places: list[GenderPlace]
    because: str | None
    """Why there are none."""


def places_of(dataset: pd.DataFrame) -> Places:
    """All places of a table of kind dataset.

    Sentences in two genders: every target of `targets_of`, once behind each of its two prefixes. Else captions of pictures
    whose first label word is the commonest such word of train captions of women, or of men: these are the two words; nothing
    before it but the picture tells the gender.
    """
    targets, _ = targets_of(dataset) if "group" in dataset else ([], {})
    if targets:
        return Places(PAIRS, None, [*_of_targets(targets)], None)
    if "image" not in dataset or not (dataset["image"] != "").any():
        why = "there are neither sentences in two genders nor pictures before the first gendered word"
        return Places(PICTURES, None, [], why)
    rows = [*_first_words(dataset)]
    words = tuple(
        _commonest(row for row in rows if row["gender"] == gender and row["split"] == "train")
        for gender in GENDERS
    )
    if None in words or words[0] == words[1]:
        why = "the train captions of pictures of women and of men have no gendered word of their own each"
        return Places(PICTURES, None, [], why)
    return Places(PICTURES, words, [*_of_pictures(rows, words)], None)


def _of_targets(targets: list[Any]) -> Iterator[GenderPlace]:
    for number, target in enumerate(targets):
        for gender in GENDERS:
            name = f"target {number}, {gender}"
            sample = Sample(name, target.prefix[gender], target.prompt)
            forms = (target.form[of] for of in GENDERS)
            yield GenderPlace(target.group, target.split, gender, str(number), sample, *forms)


def _first_words(dataset: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The rows of pictures with a label word, with `before` and `word`."""
    for row in dataset.to_dict("records"):
        spans = json.loads(row["label_spans"]) if row["image"] else []
        if spans:
            start, end = spans[0]
            yield row | {"before": row["caption"][:start], "word": row["caption"][start:end]}


def _commonest(rows: Iterator[dict[str, Any]]) -> str | None:
    counted = Counter(row["word"] for row in rows)
    # as often: the first by its letters, whatever the order of rows
    return min(counted, key=lambda word: (-counted[word], word)) if counted else None


def _of_pictures(rows: list[dict[str, Any]], words: tuple[str, str]) -> Iterator[GenderPlace]:
    seen = set()
    for row in rows:
        key = row["image_id"], row["before"], row["prompt"]
        if row["word"] in words and key not in seen:
            seen.add(key)
            sample = Sample(row["sample_id"], row["before"], row["prompt"], row["image"], row["image_sha256"])
            yield GenderPlace(str(row["group"]), row["split"], row["gender"], "", sample, *words)


def drawn(places: list[GenderPlace], split: str, count: int) -> list[GenderPlace]:
    """The places of a split, of its first `count` groups in each gender; the two of a pair stay together."""
    of_split = [place for place in places if place.split == split]
    chosen: set[str] = set()
    for gender in (*GENDERS, "unknown"):
        groups = dict.fromkeys(place.group for place in of_split if place.gender == gender)
        chosen |= {*list(groups)[:count]}
    return [place for place in of_split if place.group in chosen]
