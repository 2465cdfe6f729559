"""A model is asked what features stand for: it reads texts in which the pieces are marked on which a feature fires."""

import json
from pathlib import Path
from typing import Any

from crosslens.descriptions.answers import Answers, header
from crosslens.descriptions.chat import Chat
from crosslens.tables.documents import read_json, write_json

KINDS = {
    "top": "where it fires strongest",
    "middle": "where it fires as it usually does",
    "random": "any texts; it fires where something is marked",
}
LABEL = """A feature of a language model fires on some pieces of text. Below are texts, a JSON string each; pieces on which \
the feature fires stand in << >>. A piece may be a part of a word, and what the feature stands for may have been said before \
the piece.

{examples}
{tokens}
What do the texts in which it fires have in common that the others lack? Answer with JSON alone, the label in English and at \
most 15 words that would tell which other texts, in any language, the feature fires in:
{{"label": "..."}}"""


def ask_labels(
    *,
    described: Path,
    model: str,
    temperature: float | None,
    json_mode: bool,
    endpoint: dict[str, Any],
    out: Path,
) -> None:
    """Write JSON of kind `asked_labels`: what the model answers to the examples of each feature of `described`.

    endpoint: url, key, timeout and retries of `Chat`. Raises InputError where the server does not answer.
    """
    document = read_json(described, "described")
    asked_as = {"model": model, "temperature": temperature, "json_mode": json_mode}
    answers = Answers(Chat(**asked_as, **endpoint), out.with_name("answers.jsonl"))
    features = []
    for entry in document["features"]:
        if any(of["examples"]["top"] for of in entry["languages"].values()):
            prompt = label_prompt(entry)
            answer = answers.to(prompt)
            features.append({"feature": entry["feature"], "prompt": prompt, "answer": answer})
    write_json(out, "asked_labels", header(document, asked_as, answers) | {"features": features})


def label_prompt(entry: dict[str, Any]) -> str:
    """The question for a label. entry: a feature of kind `described`."""
    blocks = []
    for language, of in entry["languages"].items():
        for kind, words in KINDS.items():
            if of["examples"][kind]:
                lines = [json.dumps(marked(example), ensure_ascii=False) for example in of["examples"][kind]]
                blocks.append("\n".join([f"Language {language}, {words}:", *lines]))
    return LABEL.format(examples="\n\n".join(blocks), tokens=_tokens(entry))


def _tokens(entry: dict[str, Any]) -> str:
    """What the feature does to the next piece of text, by its logit lens; that it fires on these is not said."""
    words = {"promoted": "likelier", "suppressed": "less likely"}
    lines = [
        f"Pieces of text that it makes {word} to come next, by its direction alone, the most first: "
        f"{json.dumps(entry[side], ensure_ascii=False)}\n"
        for side, word in words.items()
        if entry[side]
    ]
    return "".join(["\n", *lines] if lines else [])


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
