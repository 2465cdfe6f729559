"""The user's own: a table with one row a caption, and a folder of pictures."""

import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from crosslens.data.captions import GENDER_COLUMN, GROUP_COLUMN, SPLIT_COLUMN, Row, rows_of
from crosslens.data.csv_table import Table, read_table
from crosslens.data.picture_files import SUFFIXES, candidates, find_image
from crosslens.errors import InputError
from crosslens.store.digests import digest
from crosslens.study.sources.base import Source, Text, Texts, shares_of

SETTINGS = {
    "captions": {
        "description": "A CSV file in UTF-8 with one row a caption, separated by commas, semicolons or tabs.",
        "type": "string",
    },
    "images": {
        "description": "The folder of the pictures that `image_id` names; null where there are none.",
        "type": ["string", "null"],
        "minLength": 1,
        "default": None,
    },
    "columns": {
        "description": "What the table calls a column, where that is not its usual name: of the captions by language (usual: "
        "english_prompt, arabic_prompt, `{code}_caption`), `image_id`, `gender` (ground_truth_gender), `category`, `group`, "
        "`split`. A column `split` (train, select, test) takes the place of `splits`, columns `{code}_label_spans` (JSON, "
        "[start, end] of characters) that of lexicons and `mask`.",
        "type": ["object", "null"],
        "propertyNames": {
            "pattern": "^([a-z]{2,3}|image_id|gender|category|group|split)$",
            "title": "a language, image_id, gender, category, group or split",
        },
        "additionalProperties": {"type": "string"},
        "default": None,
    },
}
USUAL = {"gender": GENDER_COLUMN, "category": "category", "group": GROUP_COLUMN, "split": SPLIT_COLUMN}
ROLES = ("image_id", "gender", "category", "group", "split")
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
        return rows_of(Path(self.settings), self._table, self.whole["languages"], columns)

    @cached_property
    def _table(self) -> Table:
        return read_table(Path(self.settings))

    @cached_property
    def _looked_for(self) -> dict[str, dict[str, str | None]]:
        """image_id → what is looked for until a file is found, with its digest; None where there is no such file (yet)."""
        found: dict[str, dict[str, str | None]] = {}
        for image_id in dict.fromkeys(row.image_id for row in self.rows) if self.images else ():
            names = found.setdefault(image_id, {})
            for name in candidates(image_id):
                names[name] = self.digests.or_none(self.images / name)
                if names[name]:
                    break
        return found

    @cached_property
    def _sizes(self) -> dict[str, tuple[int, int] | None]:
        """Name of a file → (height, width), of those that were asked for: every language and part asks."""
        return {}

    def _picture(self, image_id: str) -> tuple[str, str] | None:
        """Name and digest of the file that an image id names."""
        looked_for = self._looked_for.get(image_id, {})
        return next(((name, sha256) for name, sha256 in looked_for.items() if sha256), None)

    @property
    def n_rows(self) -> int:
        return len(self.rows)

    @cached_property
    def identity(self) -> Any:
        pictures = {image_id: self._picture(image_id) for image_id in self._looked_for}
        return {"captions": self.digests(Path(self.settings)), "pictures": digest(pictures)}

    @property
    def files(self) -> list[Path]:
        pictures = {self.images / name for names in self._looked_for.values() for name in names}
        return [Path(self.settings), *sorted(pictures)]

    def block_identity(self, first: int, last: int, language: str) -> Any:
        # An image's k-th caption is that sample by its number: another row before it makes it another.
        return digest(
            [
                [row.sample_id, row.captions[language], self._picture(row.image_id)]
                for row in self.rows[first - 1 : last]
            ]
        )

    def extent(self, first: int, last: int, language: str) -> tuple[float, int | None]:
        if not Path(self.settings).is_file():
            return last - first + 1, None
        prompt = len(self.whole["prompts"].get(language, "").encode())
        block = self.rows[first - 1 : last]
        return len(block), prompt + max((len(row.captions[language].encode()) for row in block), default=0)

    def picture_sizes(self, first: int, last: int) -> set[tuple[int, int]] | None:
        if self.images is None or not Path(self.settings).is_file():
            return None
        found = {self._picture(row.image_id) for row in self.rows[first - 1 : last]} - {None}
        for name, _ in found:
            if name not in self._sizes:
                self._sizes[name] = _size(self.images / name)
        return {*filter(None, (self._sizes[name] for name, _ in found))} or None

    def texts(self, language: str) -> Texts | None:
        if not Path(self.settings).is_file():
            return None
        prompt = self.whole["prompts"].get(language, "")

        def image(row: Row) -> str:
            return find_image(self.images, row.image_id) or row.image_id if self.images else ""

        rows = [
            Text(
                row.sample_id, row.captions[language], prompt, image(row), row.image_id, row.gender, row.split
            )
            for row in self.rows
        ]
        return Texts(rows, "the caption table")

    @property
    def pictures_key(self) -> str:
        return "source.images"

    @property
    def shares(self) -> dict[str, float] | None:
        if not Path(self.settings).is_file() or self.rows[0].split is None:
            return None
        return shares_of({row.image_id: row.split for row in self.rows}.values())

    @property
    def tagged(self) -> dict[str, int] | None:
        if not Path(self.settings).is_file() or self.rows[0].label_spans is None:
            return None
        return {
            language: sum(bool(row.label_spans[language]) for row in self.rows)
            for language in self.whole["languages"]
        }

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

        called: dict[str, list[str]] = {}
        for name, column in (self.whole["source"]["columns"] or {}).items():
            called.setdefault(column.strip(), []).append(name)
        for column, names in called.items():
            if len(names) > 1 and {*languages} & {*names}:
                yield self.whole.fault(
                    "source.columns",
                    f"one column, {column!r}, for {' and '.join(names)}",
                    "a column for each language, of its captions alone",
                    "name the other column, or take a language out",
                )

    def _unread(self) -> Iterator[InputError]:
        """A column that is called nearly as usual: that it was left out nobody would see."""
        named = self.whole["source"]["columns"] or {}
        try:
            header = self._table.header
        except InputError:  # told where the rows are read
            return
        for role, usual in USUAL.items():
            near = (usual.replace("_", ""), role)
            for name in header if role not in named and usual not in header else ():
                if re.sub("[^a-z]", "", name.casefold()) in near and name not in named.values():
                    yield InputError(
                        f"{self.settings}, header",
                        found=f"a column {name!r}, which nothing reads",
                        expected=f"{usual!r} for the {role}",
                        mend=f"rename it, or name it in the study: `source.columns: {{{role}: {name}}}`",
                    )

    def file_faults(self) -> Iterator[InputError]:
        table, images = Path(self.settings), self.images
        if not table.is_file():
            found = f"a folder, {table}" if table.is_dir() else f"nothing at {table}"
            yield self.whole.fault("source.captions", found, "your file", "correct the path")
        if images is not None and not images.is_dir():
            found = f"a file, {images}" if images.is_file() else f"nothing at {images}"
            yield self.whole.fault("source.images", found, "your folder", "correct the path")
        elif images is not None and table.is_file():
            yield from self._no_picture(images)
        if table.is_file():
            yield from self._unread()

    def _no_picture(self, images: Path) -> Iterator[InputError]:
        """One that is missing is put in quarantine; where all are, the folder or the ids are wrong."""
        try:
            ids = dict.fromkeys(row.image_id for row in self.rows)
        except InputError:  # told where the rows are read
            return
        if not any(find_image(images, image_id) for image_id in ids):
            first = next(iter(ids))
            yield self.whole.fault(
                "source.images",
                f"none of the {len(ids):,} pictures that {self.settings} names in {images}, such as {first}",
                f"files of these names, or with one of {', '.join(SUFFIXES)} behind them",
                "correct the path or the ids" + (", in which / divides folders" if "\\" in first else ""),
            )


def _size(file: Path) -> tuple[int, int] | None:
    """(height, width) of a picture by its header alone; None where it has none that can be read.

    A camera's picture that lies on its side has them exchanged: as many pixels, and as many tokens.
    """
    from PIL import Image  # which no other part of a plan needs

    try:
        with Image.open(file) as opened:
            return opened.height, opened.width
    except Exception:  # readers of broken headers raise nearly anything
        return None


SOURCE = Captions
