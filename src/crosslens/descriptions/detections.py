"""A model is asked in which texts features of these labels fire."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from crosslens.descriptions.answers import Answers, header
from crosslens.descriptions.chat import Chat
from crosslens.descriptions.reading import read_label
from crosslens.tables.documents import read_json, write_json

DETECTION = """A feature of a language model fires in texts of this kind:
{label}

In which of these texts does it fire? They are numbered, a JSON string each; about half of all texts that you are shown are of \
that kind.

{texts}

Answer with JSON alone, the numbers of the texts in which it fires, [] for none:
{{"matches": [...]}}"""


def ask_detections(
    *,
    described: Path,
    labels: Path,
    model: str,
    temperature: float | None,
    json_mode: bool,
    batch: int,
    endpoint: dict[str, Any],
    out: Path,
) -> None:
    """Write JSON of kind `asked_detections`: which held-out texts the model says a label is of, `batch` in one question.

    labels: of kind `asked_labels`. Each label is tried on the texts of its own feature and, as a null, on those of another.
    """
    document = read_json(described, "described")
    asked_as = {"model": model, "temperature": temperature, "json_mode": json_mode}
    answers = Answers(Chat(**asked_as, **endpoint), out.with_name("answers.jsonl"))
    named = {
        entry["feature"]: label
        for entry in read_json(labels, "asked_labels")["features"]
        if (label := read_label(entry["answer"]))
    }
    asked = []
    for language in document["languages"]:
        held_out = {
            entry["feature"]: entry["languages"][language]["held_out"]
            for entry in document["features"]
            if entry["languages"][language]["held_out"]
        }
        for feature, of in tried(named, held_out):
            texts = held_out[of]
            for start in range(0, len(texts), batch):
                some = texts[start : start + batch]
                prompt = detection_prompt(named[feature], (text["caption"] for text in some))
                place = {
                    "feature": feature,
                    "of": of,
                    "language": language,
                    "start": start,
                    "texts": len(some),
                }
                asked.append(place | {"prompt": prompt, "answer": answers.to(prompt)})
    write_json(out, "asked_detections", header(document, asked_as, answers) | {"asked": asked})


def tried(named: Iterable[int], held_out: Iterable[int]) -> list[tuple[int, int]]:
    """(feature whose label it is, feature whose texts they are): each with its own, and with one other's.

    The other is half the list away, since neighbours are often named for the same thing.
    """
    texts = list(held_out)
    pairs = []
    for feature in named:
        if feature in texts:
            pairs.append((feature, feature))
            other = texts[(texts.index(feature) + max(len(texts) // 2, 1)) % len(texts)]
            if other != feature:
                pairs.append((feature, other))
    return pairs


def detection_prompt(label: str, texts: Iterable[str]) -> str:
    """The question in which of some texts a feature of this label fires."""
    lines = [f"{number}: {json.dumps(text, ensure_ascii=False)}" for number, text in enumerate(texts, 1)]
    return DETECTION.format(label=label, texts="\n".join(lines))
