"""What a model is asked of a feature, and how its label is read. An edit here asks everything anew."""

import json
from collections.abc import Iterable
from typing import Any

LONGEST_LABEL = 200
"""Characters."""
KINDS = {
    "top": "where it fires strongest",
    "middle": "where it fires as it usually does",
    "random": "any texts; it fires where something is marked",
}
LABEL = """A feature of a language model fires on some pieces of text. Below are texts, a JSON string each; pieces on which \
the feature fires stand in << >>. A piece may be a part of a word, and what the feature stands for may have been said before \
the piece.

{examples}

What do the texts in which it fires have in common that the others lack? Answer with JSON alone, the label in English and at \
most 15 words that would tell which other texts, in any language, the feature fires in:
{{"label": "..."}}"""
DETECTION = """A feature of a language model fires in texts of this kind:
{label}

In which of these texts does it fire? They are numbered, a JSON string each; about half of all texts that you are shown are of \
that kind.

{texts}

Answer with JSON alone, the numbers of the texts in which it fires, [] for none:
{{"matches": [...]}}"""


def label_prompt(entry: dict[str, Any]) -> str:
    """The question for a label. entry: a feature of kind `described`."""
    blocks = []
    for language, of in entry["languages"].items():
        for kind, words in KINDS.items():
            if of["examples"][kind]:
                lines = [_quoted(marked(example)) for example in of["examples"][kind]]
                blocks.append("\n".join([f"Language {language}, {words}:", *lines]))
    return LABEL.format(examples="\n\n".join(blocks))


def detection_prompt(label: str, texts: Iterable[str]) -> str:
    """The question in which of some texts a feature of this label fires."""
    lines = [f"{number}: {_quoted(text)}" for number, text in enumerate(texts, 1)]
    return DETECTION.format(label=label, texts="\n".join(lines))


def marked(example: dict[str, Any]) -> str:
    """The caption of an example with << >> around what fires; neighbours are marked together."""
    text, merged = example["caption"], []
    spans = sorted((start, end) for _, start, end, *_ in example["tokens"] if 0 <= start < end)
    for start, end in spans:
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    for start, end in reversed(merged):
        text = f"{text[:start]}<<{text[start:end]}>>{text[end:]}"
    return text


def read_label(answer: str | None) -> str | None:
    """The label of an answer, on one line and not too long; None where there is none."""
    label = field(answer, "label")
    words = " ".join(label.split()) if isinstance(label, str) else ""
    return words[:LONGEST_LABEL] or None


def field(answer: str | None, name: str) -> Any:
    """Of the last JSON object in the answer that has it: models think aloud, and put fences around what they mean."""
    found, decoder, place = None, json.JSONDecoder(), (answer or "").find("{")
    while place >= 0:
        try:
            value, end = decoder.raw_decode(answer, place)
        except (ValueError, RecursionError):
            end = place + 1
        else:
            found = value[name] if isinstance(value, dict) and name in value else found
        place = answer.find("{", end)
    return found


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
