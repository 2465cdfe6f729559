"""Is a label any good? It alone must tell in which held-out texts its feature fires, in each language."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import hypergeom

from crosslens.descriptions.ngrams import ngrams_of
from crosslens.descriptions.reading import field, read_label
from crosslens.errors import InputError
from crosslens.stats.shares import share_interval
from crosslens.tables.documents import read_json, write_json

Row = dict[str, Any]
Said = list[bool | None]
"""Of each text whether a feature fires in it; None where nothing was answered."""


def score_labels(
    *, described: Path, ngrams: Path, labels: Path | None = None, detections: Path | None = None, out: Path
) -> None:
    """Write JSON of kind `descriptions`: a row for each method, feature and language, see `scored`.

    ngrams: of kind `ngram_labels`, scored by whether a text has one of the n-grams; labels and detections: of kinds
    `asked_labels` and `asked_detections`, where a model was asked. Raises InputError where they are of several SAEs.
    """
    document = read_json(described, "described")
    methods = [("ngrams", *_by_ngrams(_same(ngrams, "ngram_labels", document)))]
    asked = None
    if labels is not None and detections is not None:
        asked = _same(labels, "asked_labels", document), _same(detections, "asked_detections", document)
        methods.append(("endpoint", *_by_endpoint(*asked)))
    rows = [
        {"method": method, **row}
        for method, names, said in methods
        for row in _rows(document, names, said, why_none=NO_LABEL[method])
    ]
    write_json(
        out,
        "descriptions",
        {name: document[name] for name in ("corpus", "languages", "site", "sae")}
        | {"endpoint": _answered(*asked) if asked else None, "rows": rows},
    )


NO_LABEL = {
    "ngrams": "no words set the texts in which it fires apart on select",
    "endpoint": "the model's answer has no label",
}


def _same(path: Path, kind: str, document: Row) -> Row:
    found = read_json(path, kind)
    if found["sae"] != document["sae"]:
        raise InputError(
            path,
            found=f"labels of the SAE {found['sae']}",
            expected=f"those of {document['sae']}",
            mend="rebuild them",
        )
    return found


def _answered(labels: Row, detections: Row) -> Row:
    """The model, and how many of its answers were none."""
    both = (labels, detections)
    return {
        "model": labels["model"],
        "answered_by": sorted({name for one in both for name in one["answered_by"]}),
        **{name: sum(one[name] for one in both) for name in ("prompts", "unanswered")},
    }


Names = dict[tuple[int, str], str | None]
"""(feature, language) to its label."""
Says = Callable[[int, int, str, Sequence[Row]], Said | None]
"""What a feature's label says of the texts of a feature in a language; None where it was not tried on these."""


def _by_ngrams(document: Row) -> tuple[Names, Says]:
    of = {
        (entry["feature"], name): one
        for entry in document["features"]
        for name, one in entry["languages"].items()
    }

    has = cache(ngrams_of)  # a text is tried with every label

    def says(feature: int, other: int, language: str, texts: Sequence[Row]) -> Said:
        label = {entry["ngram"] for entry in of[feature, language]["ngrams"]}
        return [bool(label & has(text["caption"], language)) for text in texts]

    return {place: one["label"] for place, one in of.items()}, says


def _by_endpoint(labels: Row, detections: Row) -> tuple[Names, Says]:
    named = {entry["feature"]: read_label(entry["answer"]) for entry in labels["features"]}
    answers: dict[tuple[int, int, str], list[Row]] = {}
    for one in detections["asked"]:
        answers.setdefault((one["feature"], one["of"], one["language"]), []).append(one)

    def says(feature: int, other: int, language: str, texts: Sequence[Row]) -> Said | None:
        if (feature, other, language) not in answers:
            return None
        said: Said = [None] * len(texts)
        for one in answers[feature, other, language]:
            numbers = read_matches(one["answer"], one["texts"])
            if numbers is not None:
                said[one["start"] : one["start"] + one["texts"]] = [
                    number in numbers for number in range(1, one["texts"] + 1)
                ]
        return said

    languages = labels["languages"]
    return {(feature, language): label for feature, label in named.items() for language in languages}, says


def _rows(document: Row, names: Names, says: Says, *, why_none: str) -> Iterator[Row]:
    for entry in document["features"]:
        feature = entry["feature"]
        for language, of in entry["languages"].items():
            label, texts = names.get((feature, language)), of["held_out"]
            row = {"feature": feature, "named": entry["named"], "language": language, "label": label}
            row |= {"fires_in": of["fires_in"]["test"]}
            said = says(feature, feature, language, texts) if label and texts else None
            score = scored(texts, said or [None] * len(texts))
            because = of["because"] or (None if label else why_none)
            if because is None and score["accuracy"] is None:
                because = "of no pair of texts an answer could be read"
            others = _others(document, feature, language, says) if score["accuracy"] else []
            yield (
                row
                | score
                | {
                    "shuffled": float(np.mean(others)) if others else None,
                    "shuffled_over": len(others),
                    "because": because,
                }
            )


def _others(document: Row, feature: int, language: str, says: Says) -> list[float]:
    """The label's balanced accuracies on the texts of other features."""
    found = []
    for entry in document["features"]:
        texts = entry["languages"][language]["held_out"]
        if entry["feature"] != feature and texts:
            said = says(feature, entry["feature"], language, texts)
            score = scored(texts, said)["accuracy"] if said else None
            found += [score["value"]] if score else []
    return found


def scored(texts: Sequence[Row], said: Said) -> Row:
    """How well `said` tells where a feature fires, in pairs of which both texts were answered.

    texts: `pair` and `fires` of each; a pair has one of either, so that balanced accuracy is accuracy and chance .5.
    `accuracy` has Wilson's interval by pairs; `p` is Fisher's exact test, one-sided, of said against fires: 1 where the same
    was said of all.
    """
    answered = {text["pair"] for text in texts} - {
        text["pair"] for text, one in zip(texts, said, strict=True) if one is None
    }
    kept = [i for i, text in enumerate(texts) if text["pair"] in answered]
    fires = np.array([texts[i]["fires"] for i in kept], dtype=bool)
    yes = np.array([said[i] for i in kept], dtype=bool)
    row: Row = {"pairs": len(answered), "unanswered": len(texts) // 2 - len(answered)}
    if not kept:
        return row | dict.fromkeys(("accuracy", "sensitivity", "specificity", "p"))
    hits = yes == fires
    low, high = share_interval(hits, np.array([texts[i]["pair"] for i in kept]))
    return row | {
        "accuracy": {"value": float(hits.mean()), "low": low, "high": high},
        "sensitivity": float(yes[fires].mean()),
        "specificity": float((~yes[~fires]).mean()),
        "p": float(hypergeom.sf((yes & fires).sum() - 1, len(kept), fires.sum(), yes.sum())),
    }


def read_matches(answer: str | None, texts: int) -> set[int] | None:
    """The numbers of an answer, from 1 to `texts`; None where it is no list of such numbers."""
    matches = field(answer, "matches")
    if not isinstance(matches, list):
        return None
    numbers = {
        int(one) if isinstance(one, str) and one.isdecimal() else one
        for one in matches
        if type(one) in (int, str)
    }
    return (
        numbers if len(numbers) == len({*map(str, matches)}) and numbers <= {*range(1, texts + 1)} else None
    )
