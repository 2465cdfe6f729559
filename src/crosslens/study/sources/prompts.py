"""Prompts that the model answers: its answers are the texts (see crosslens.generation)."""

from collections.abc import Iterator
from typing import Any

from crosslens.errors import InputError
from crosslens.study.sources.base import Source, Text, Texts

SETTINGS = {
    "prompts": {
        "description": "Prompts that the model answers; its answers are the texts of the study (see `generation`).",
        "type": "array",
        "minItems": 3,
        "uniqueItems": True,
        "items": {"type": "string", "minLength": 1},
    }
}


class Prompts(Source):
    is_generation = True

    @property
    def n_rows(self) -> int:
        return len(self.settings) * self.whole["generation"]["samples"]

    def block_identity(self, first: int, last: int, language: str) -> Any:
        return [first, min(last, self.n_rows)]

    def extent(self, first: int, last: int, language: str) -> tuple[float, int | None]:
        longest = max(len(prompt.encode()) for prompt in self.settings)
        return min(last, self.n_rows) - first + 1, longest + self.whole["generation"]["max_new_tokens"]

    def texts(self, language: str) -> Texts:
        rows = [
            Text(f"{prompt}#{number}", "", prompt, "", prompt, "unknown")
            for prompt in self.settings
            for number in range(self.whole["generation"]["samples"])
        ]
        most = self.whole["generation"]["max_new_tokens"]
        return Texts(rows, f"prompts, and answers of {most} tokens, the most there can be", most)

    def faults(self) -> Iterator[InputError]:
        languages, chosen = self.whole["languages"], self.whole["generation"]
        if len(languages) != 1:
            yield self.whole.fault("languages", languages, "the one language of the prompts", "name one")
        for key in ("activations", "sae"):
            if "caption" in (roles := self.whole[key]["roles"]):
                yield self.whole.fault(
                    f"{key}.roles", roles, "generated, for texts that the model writes", "name it"
                )
        if chosen["samples"] > 1 and not chosen["temperature"]:
            yield self.whole.fault(
                "generation.temperature",
                f"0 with generation.samples {chosen['samples']}, all of them the same answer",
                "more than 0, or one answer to each prompt",
                "raise the temperature, or set samples to 1",
            )


SOURCE = Prompts
