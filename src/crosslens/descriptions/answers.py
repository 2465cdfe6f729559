"""What a model behind an endpoint answers, kept as it comes: an edit of what reads it asks nothing again."""

import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

from crosslens.descriptions.chat import Answer, Chat
from crosslens.errors import InputError

log = logging.getLogger(__name__)

ENOUGH = 5
"""Answers after which a server that has not answered yet is asked no more."""


class Answers:
    """Answers in a file beside what is made of them, a line each, so that a job that was ended asks on where it was."""

    def __init__(self, chat: Chat, file: Path):
        self.chat, self.file = chat, file
        self._known: dict[str, Answer] = {}
        self.given: list[Answer] = []
        for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
            try:
                prompt, *answer = json.loads(line)
            except ValueError:  # torn
                continue
            self._known[prompt] = Answer(*answer)

    def to(self, prompt: str) -> str | None:
        """The answer to a prompt; None where it was none that can be read."""
        if prompt not in self._known:
            self._known[prompt] = answer = self.chat.ask(prompt)
            with self.file.open("a", encoding="utf-8") as file:
                file.write("\n" + json.dumps([prompt, *answer]))  # behind what a killed job may have torn
        self.given.append(self._known[prompt])
        if len(self.given) == ENOUGH:
            self._check()
        return self.given[-1].text

    def _check(self) -> None:
        """Raise InputError where nothing was answered: this is no server of the protocol."""
        if self.given and all(answer.text is None for answer in self.given):
            self.file.unlink()  # of another server, likely
            raise InputError(
                f"describe.endpoint, {self.chat.url}",
                found=f"no chat completion in any of {len(self.given)} answers",
                expected="JSON with choices[0].message.content, which is not empty",
                mend="correct describe.endpoint.url: the address of an OpenAI-compatible server, up to /v1",
            )

    def summary(self) -> dict[str, Any]:
        """How many were asked and not answered, and the names under which the model answered. InputError if none was."""
        self._check()
        silent = sum(answer.text is None for answer in self.given)
        if silent:
            log.warning(
                "%s: %d of %d answers are no chat completions", self.chat.url, silent, len(self.given)
            )
        names = Counter(answer.model for answer in self.given if answer.model)
        return {"prompts": len(self.given), "unanswered": silent, "answered_by": sorted(names)}


def header(document: dict[str, Any], asked_as: dict[str, Any], answers: Answers) -> dict[str, Any]:
    """What documents of answers begin with."""
    own = {name: document[name] for name in ("corpus", "languages", "site", "sae")}
    return own | asked_as | answers.summary()
