"""The user's own: a table with one row a caption, and a folder of pictures."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from crosslens.data.captions import Row, read_rows
from crosslens.errors import InputError
from crosslens.store.digests import digest
from crosslens.study.sources.base import Source, Text, Texts

SETTINGS = {
    "captions": {
        "description": "A CSV file in UTF-8 with one row a caption, separated by commas, semicolons or tabs.",
        "type": "string",
    },
    "images": {
        "description": "The folder of the pictures that `image_id` names; null where there are none.",
        "type": ["string", "null"],
        "default": None,
    },
    "columns": {
        "description": "What the table calls a column, where that is not its usual name: of the captions by language (usual: "
        "english_prompt, arabic_prompt, `{code}_caption`), `image_id`, `gender` (ground_truth_gender), `category`, `group`.",
        "type": ["object", "null"],
        "propertyNames": {
            "pattern": "^([a-z]{2,3}|image_id|gender|category|group)$",
            "title": "a language, image_id, gender, category or group",
        },
        "additionalProperties": {"type": "string"},
        "default": None,
    },
}
ROLES = ("image_id", "gender", "category", "group")
"""What `columns` names beside captions."""


class Captions(Source):
    @property
    def images(self) -> Path | None:
        images = self.whole["source"]["images"]
        return Path(images) if images else None

    def places(self, made: str | None) -> dict[str, str | None]:
        return {"captions": self.settings, "images": str(self.images) if self.images else None}

    @cached_property
    def rows(self) -> list[Row]:
        """The rows of the table, in every language of the study."""
        columns = self.whole["source"]["columns"]
        return read_rows(Path(self.settings), columns=columns, languages=self.whole["languages"])

    @cached_property
    def _pictures(self) -> list[Path]:
        return sorted(path for path in self.images.iterdir() if path.is_file()) if self.images else []

    @cached_property
    def _image_digests(self) -> dict[str, str]:
        return {path.name: self.digests(path) for path in self._pictures}

    @property
    def n_rows(self) -> int:
        return len(self.rows)

    @cached_property
    def identity(self) -> Any:
        return [self.digests(Path(self.settings)), sorted(self._image_digests.items())]

    @property
    def files(self) -> list[Path]:
        return [Path(self.settings), *self._pictures]

    def block_identity(self, first: int, last: int, language: str) -> Any:
        images = {
            Path(name).stem: sha256 for name, sha256 in self._image_digests.items()
        } | self._image_digests
        block = self.rows[first - 1 : last]
        return digest([[row.image_id, row.captions[language], images.get(row.image_id)] for row in block])

    def texts(self, language: str) -> Texts | None:
        if not Path(self.settings).is_file():
            return None
        prompt = self.whole["prompts"].get(language, "")
        files = {path.stem: path.name for path in self.images.iterdir()} if self.images else {}
        rows = [
            Text(
                row.sample_id,
                row.captions[language],
                prompt,
                files.get(row.image_id, row.image_id) if files else "",
                row.image_id,
                row.gender,
            )
            for row in self.rows
        ]
        return Texts(rows, "the caption table")

    @property
    def pictures_key(self) -> str:
        return "source.images"

    @property
    def units(self) -> Iterable[str]:
        return (row.group or row.image_id for row in self.rows)

    def faults(self) -> Iterator[InputError]:
        yield from super().faults()
        languages = self.whole["languages"]
        for name in sorted((self.whole["source"]["columns"] or {}).keys() - {*languages, *ROLES}):
            yield self.whole.fault(
                "source.columns",
                name,
                f"one of {', '.join([*languages, *ROLES])}",
                "remove it or add the language",
            )

    def file_faults(self) -> Iterator[InputError]:
        table, images = Path(self.settings), self.images
        if not table.is_file():
            found = f"a folder, {table}" if table.is_dir() else f"nothing at {table}"
            yield self.whole.fault("source.captions", found, "your file", "correct the path")
        if images is not None and not images.is_dir():
            found = f"a file, {images}" if images.is_file() else f"nothing at {images}"
            yield self.whole.fault("source.images", found, "your folder", "correct the path")


SOURCE = Captions
