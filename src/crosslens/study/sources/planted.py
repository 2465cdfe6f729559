"""The embedded study: scenes and captions that a seeded recipe draws (see crosslens.planted.source)."""

from typing import Any

from crosslens.study.sources.base import Source, Text, Texts

SETTINGS = {
    "planted": {
        "description": "The embedded study, drawn by a seeded recipe.",
        "type": "object",
        "additionalProperties": False,
        "required": ["images"],
        "properties": {
            "images": {"description": "How many pictures.", "type": "integer", "minimum": 1},
            "seed": {
                "description": "Of the scenes and captions.",
                "type": "integer",
                "minimum": 0,
                "default": 0,
            },
            "control": {
                "description": "Captions without bias (.5 everywhere).",
                "type": "boolean",
                "default": False,
            },
        },
    }
}


class Planted(Source):
    kind = "source"
    languages = ("en", "ar")
    has_truth = True
    drawn_pixels = 64

    @property
    def n_rows(self) -> int:
        return self.settings["images"]

    def block_identity(self, first: int, last: int, language: str) -> Any:
        return ["planted", self.settings["seed"], self.settings["control"], first, min(last, self.n_rows)]

    def texts(self, language: str) -> Texts:
        # Here: it imports what draws.
        from crosslens.planted.source import source_captions, source_scene

        prompt, seed, control = (
            self.whole["prompts"].get(language, ""),
            self.settings["seed"],
            self.settings["control"],
        )
        rows = []
        for index in range(self.n_rows):
            scene = source_scene(index, seed=seed)
            caption = source_captions(scene, control=control)[language]
            gender = "unknown" if scene.ambiguous else scene.gender
            rows.append(Text(f"scene_{index:06d}#0", caption, prompt, "drawn", str(index), gender))
        return Texts(rows, "captions that will be drawn")


SOURCE = Planted
