"""English and Arabic texts out of packages: names of emoji, and messages of translated software (see crosslens.sources)."""

from collections.abc import Iterator
from functools import cached_property
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from crosslens.errors import InputError
from crosslens.sources import plan
from crosslens.sources.emoji_names import emoji_names
from crosslens.study.sources.base import Source, Text, Texts

MESSAGES = {
    "description": "Messages of translated software.",
    "type": ["object", "null"],
    "additionalProperties": False,
    "required": ["folder", "count"],
    "properties": {
        "folder": {
            "description": "Their catalogues (`crosslens source fetch-messages --to FOLDER`).",
            "type": "string",
        },
        "count": {"description": "How many are drawn.", "type": "integer", "minimum": 1},
        "seed": {"description": "Of the draw.", "type": "integer", "minimum": 0, "default": 0},
    },
    "default": None,
}
SETTINGS = {
    "names": {
        "description": "English and Arabic texts out of packages.",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "emoji": {
                "description": "Names of emoji, the gendered ones in pairs (Python package `emoji`). Without pictures the "
                "skin tones and directions of an emoji are captions of one image.",
                "type": ["object", "null"],
                "additionalProperties": False,
                "properties": {
                    "skin_tones": {
                        "description": "The variants that a tone or a direction was chosen for too; false beside pictures.",
                        "type": "boolean",
                        "default": True,
                    },
                    "pictures": {
                        "description": "Their pictures, so many pixels wide; null for none. Not beside messages.",
                        "type": ["integer", "null"],
                        "minimum": 32,
                        "default": None,
                    },
                    "font": {
                        "description": "The font that draws them; null is Debian's Noto Color Emoji.",
                        "type": ["string", "null"],
                        "default": None,
                    },
                },
                "default": None,
            },
            "messages": MESSAGES,
        },
    }
}


class Names(Source):
    kind = "collection"
    languages = ("en", "ar")

    @property
    def drawn_pixels(self) -> int | None:
        return self.settings["emoji"]["pictures"] if self.settings["emoji"] else None

    @property
    def n_rows(self) -> int:
        return plan.row_count(self.settings)

    @cached_property
    def identity(self) -> Any:
        return plan.identity(self.settings, self.digests)

    @property
    def files(self) -> list[Path]:
        found: list[Path] = []
        plan.identity(self.settings, lambda path: found.append(path) or "")
        return found

    def block_identity(self, first: int, last: int, language: str) -> Any:
        return plan.block_identity(self.settings, first, last, self.digests)

    def texts(self, language: str) -> Texts | None:
        """Messages that were not fetched yet count as long as names."""
        # Here: it reads catalogues with a package that the rest does without.
        from crosslens.sources.catalogues import sample_messages

        emoji, messages = self.settings["emoji"], self.settings["messages"]
        prompt = self.whole["prompts"].get(language, "")
        try:
            found = emoji_names(skin_tones=emoji["skin_tones"]) if emoji else ()
        except InputError:
            return None
        texts = [getattr(name, language) for name in found]
        units: list[tuple[str, str | None]] = [(name.unit, name.gender) for name in found]
        basis = "names of emoji"
        if messages:
            try:
                more = [getattr(message, language) for message in sample_messages(**messages)]
                basis = f"{basis} and messages" if emoji else "messages"
            except InputError:
                if not texts:
                    return None
                more = list(islice(cycle(texts), messages["count"]))
                basis += ", and messages (not fetched yet) as if they were as long"
            texts += more
            units += [(f"message {number}", "unknown") for number in range(len(more))]
        image = "drawn" if self.drawn_pixels else ""
        rows = [
            Text(f"{number}#0", text, prompt, image, *unit)
            for number, (text, unit) in enumerate(zip(texts, units, strict=True))
        ]
        return Texts(rows, basis)

    @property
    def pictures_key(self) -> str:
        return "source.names.emoji.pictures"

    def file_faults(self) -> Iterator[InputError]:
        try:
            plan.identity(self.settings, lambda path: "")
        except InputError as error:
            # A package or a folder that is not there yet is told when a key asks for it: a plan does without.
            if str(error.where).startswith("source."):
                yield self.whole.fault(error.where, error.found, error.expected, error.mend)


SOURCE = Names
