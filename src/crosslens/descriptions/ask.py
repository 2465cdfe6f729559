"""A model behind an endpoint is asked for labels, and in which texts features of these labels fire.

Answers are stored as they come, and are read by who scores them: an edit of the scoring asks nothing again.
"""

import json
import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from crosslens.descriptions.chat import Answer, Chat
from crosslens.descriptions.prompts import detection_prompt, label_prompt, read_label
from crosslens.errors import InputError
from crosslens.tables.documents import read_json, write_json

log = logging.getLogger(__name__)


class Answers:
    """Answers in a file beside what is made of them, a line each, so that a job that was ended asks on where it was."""

    def __init__(self, chat: Chat, file: Path):
        self.chat, self.file = chat, file
        self._known: dict[str, Answer] = {}
        self.given: list[Answer] = []
        for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
            try:
                prompt, *answer = json.loads(line)
            except ValueError:  # the last one, of a job that was killed
                continue
            self._known[prompt] = Answer(*answer)

    def to(self, prompt: str) -> str | None:
        """The answer to a prompt; None where it was none that can be read."""
        if prompt not in self._known:
            self._known[prompt] = answer = self.chat.ask(prompt)
            with self.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps([prompt, *answer]) + "\n")
        self.given.append(self._known[prompt])
        return self.given[-1].text

    def summary(self) -> dict[str, Any]:
        """How many were asked and not answered, and the names under which the model answered. InputError if none was."""
        silent = sum(answer.text is None for answer in self.given)
        if self.given and silent == len(self.given):
            self.file.unlink()  # of another server, likely
            raise InputError(
                f"describe.endpoint, {self.chat.url}",
                found=f"no chat completion in any of {silent} answers",
                expected="JSON with choices[0].message.content, which is not empty",
                mend="correct describe.endpoint.url: the address of an OpenAI-compatible server, up to /v1",
            )
        if silent:
            log.warning(
                "%s: %d of %d answers are no chat completions", self.chat.url, silent, len(self.given)
            )
        names = Counter(answer.model for answer in self.given if answer.model)
        return {"prompts": len(self.given), "unanswered": silent, "answered_by": sorted(names)}


def ask_labels(
    *, described: Path, model: str, temperature: float | None, endpoint: dict[str, Any], out: Path
) -> None:
    """Write JSON of kind `asked_labels`: what the model answers to the examples of each feature of `described`.

    endpoint: url, key, timeout and retries of `Chat`. Raises InputError where the server does not answer.
    """
    document = read_json(described, "described")
    answers = Answers(Chat(model=model, temperature=temperature, **endpoint), out.with_name("answers.jsonl"))
    features = []
    for entry in document["features"]:
        if any(of["examples"]["top"] for of in entry["languages"].values()):
            prompt = label_prompt(entry)
            answer = answers.to(prompt)
            features.append({"feature": entry["feature"], "prompt": prompt, "answer": answer})
    write_json(out, "asked_labels", _header(document, model, temperature, answers) | {"features": features})


def ask_detections(
    *,
    described: Path,
    labels: Path,
    model: str,
    temperature: float | None,
    batch: int,
    endpoint: dict[str, Any],
    out: Path,
) -> None:
    """Write JSON of kind `asked_detections`: which held-out texts the model says a label is of, `batch` in one question.

    labels: of kind `asked_labels`. Each label is tried on the texts of its own feature and, as a null, on those of another.
    """
    document = read_json(described, "described")
    answers = Answers(Chat(model=model, temperature=temperature, **endpoint), out.with_name("answers.jsonl"))
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
    write_json(out, "asked_detections", _header(document, model, temperature, answers) | {"asked": asked})


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


def _header(
    document: dict[str, Any], model: str, temperature: float | None, answers: Answers
) -> dict[str, Any]:
    own = {name: document[name] for name in ("corpus", "languages", "site", "sae")}
    return own | {"model": model, "temperature": temperature, **answers.summary()}
