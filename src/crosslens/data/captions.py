"""Read a caption table: one row a caption pair, its columns, ids and gender checked.

Standard library only: the Snakefile reads the same rows to derive the content keys of blocks of samples.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from crosslens.data.languages import language_of
from crosslens.errors import InputError

IMAGE_COLUMNS = ("image_id", "image")
GENDER_COLUMN = "ground_truth_gender"
GROUP_COLUMN = "group"
_GENDER_VALUES = {
    **dict.fromkeys(("m", "male", "man", "boy"), "male"),
    **dict.fromkeys(("f", "female", "woman", "girl"), "female"),
    **dict.fromkeys(("u", "unknown", ""), "unknown"),
}


class Row(NamedTuple):
    """One data row of the caption table."""

    row: int
    """Position in the table; the first data row is 1."""
    sample_id: str
    """`{image_id}#{k}`: caption k, from 0, of that image."""
    image_id: str
    captions: dict[str, str]
    """language -> caption, exactly as in the table."""
    gender: str | None
    """`female`, `male` or `unknown`; None where the table has no gender column."""
    category: str
    """The column `category`, or the empty string."""
    group: str | None = None
    """The column `group`, what splits keep together; empty where the image goes alone, None without the column."""


def read_rows(
    captions: Path, languages: Sequence[str], columns: Mapping[str, str] | None = None
) -> list[Row]:
    """Every data row of a UTF-8 CSV file, in file order.

    `languages` are those that must be there and are read. `columns` names the caption column of each; without it the
    column is `{language}_caption`, or the one that the language has for its own (`english_prompt`). Raises InputError
    with file, row and column for anything that cannot be read without a guess.
    """
    path = Path(captions)
    header, records = _read_table(path)
    image_column = _find_column(path, header, IMAGE_COLUMNS, "the image id")
    caption_columns = _caption_columns(path, header, columns, languages)
    rows: list[Row] = []
    checks = _Consistency(path)
    for number, record in enumerate(records, start=1):
        if len(record) != len(header):
            raise InputError(
                f"{path}, row {number}",
                found=f"{len(record)} fields",
                expected=f"{len(header)}, as in the header",
                mend="quote captions that contain a comma or a line break, and double the quotes inside them",
            )
        fields = dict(zip(header, record, strict=True))
        image_id = _image_id(path, number, image_column, fields[image_column])
        texts = {
            language: _caption(path, number, column, fields[column])
            for language, column in caption_columns.items()
        }
        gender = _gender(path, number, fields[GENDER_COLUMN]) if GENDER_COLUMN in fields else None
        category = fields.get("category", "").strip()
        group = fields[GROUP_COLUMN].strip() if GROUP_COLUMN in fields else None
        told = {GENDER_COLUMN: gender, "category": category, GROUP_COLUMN: group}
        k = checks.add(number, image_id, texts, told, fields.get("sample_id"))
        rows.append(Row(number, f"{image_id}#{k}", image_id, texts, gender, category, group))
    if not rows:
        raise InputError(
            path, found="no data rows", expected="one row a caption pair", mend="name the right file"
        )
    return rows


def _read_table(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            path,
            found=error.strerror,
            expected="a CSV file of captions",
            mend="correct the path in the study",
        ) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig") + "x"
        row = sum(1 for record in csv.reader(io.StringIO(before, newline="")) if record) - 1
        raise InputError(
            f"{path}, row {row}" if row else f"{path}, header",
            found=f"bytes that are not UTF-8 (0x{data[error.start]:02x} at byte {error.start})",
            expected="a UTF-8 file, with or without a BOM",
            mend="save the table as UTF-8 (in a spreadsheet: 'CSV UTF-8')",
        ) from error
    records: list[list[str]] = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for record in reader:
            if record:
                records.append(record)
    except csv.Error as error:
        raise InputError(
            f"{path}, row {len(records)} (line {reader.line_num})",
            found=f"{error}",
            expected="comma-separated fields in double quotes",
            mend="close the quotes, and double those inside a caption",
        ) from error
    if not records:
        raise InputError(
            path, found="an empty file", expected="a header and rows", mend="name the right file"
        )
    header = [name.strip() for name in records[0]]
    if repeated := sorted({name for name in header if header.count(name) > 1}):
        raise InputError(
            f"{path}, header",
            found=f"column {', '.join(repeated)} more than once",
            expected="each column name once",
            mend="rename or remove the extra columns",
        )
    return header, records[1:]


def _missing(path: Path, header: Sequence[str], names: Sequence[str], what: str) -> InputError:
    return InputError(
        f"{path}, header",
        found=f"columns {', '.join(header)}",
        expected=f"a column {' or '.join(repr(name) for name in names)} with {what}",
        mend="add the column, separate the columns by commas, or name yours under `columns:` in the study",
    )


def _find_column(path: Path, header: Sequence[str], names: Sequence[str], what: str) -> str:
    found = [name for name in names if name in header]
    if not found:
        raise _missing(path, header, names, what)
    return found[0]


def _caption_columns(
    path: Path, header: Sequence[str], columns: Mapping[str, str] | None, languages: Sequence[str]
) -> dict[str, str]:
    found = {}
    for language in languages:
        if columns and language not in columns:
            raise InputError(
                path,
                found=f"caption columns for {', '.join(columns)}",
                expected=f"one for language {language!r}",
                mend="name its column under `columns:` in the study, or take the language out",
            )
        own = language_of(language).caption_column
        known = [columns[language]] if columns else [*filter(None, [own]), f"{language}_caption"]
        names = [name for name in known if name in header]
        if len(names) > 1:
            raise InputError(
                f"{path}, header",
                found=f"columns {' and '.join(names)}",
                expected=f"one column of {language} captions",
                mend="say which one under `columns:` in the study",
            )
        found[language] = _find_column(path, header, known, f"the captions of language {language!r}")
    return found


def _image_id(path: Path, number: int, column: str, value: str) -> str:
    image_id = value.strip()
    parts = PurePosixPath(image_id).parts
    if not image_id or image_id.startswith("/") or ".." in parts:
        raise InputError(
            f"{path}, row {number}, column {column!r}",
            found=repr(value),
            expected="the name of an image, relative to the image folder",
            mend="write the file name, with or without its suffix",
        )
    return image_id


def _caption(path: Path, number: int, column: str, value: str) -> str:
    if not value.strip():
        raise InputError(
            f"{path}, row {number}, column {column!r}",
            found="an empty caption",
            expected="a caption in every language",
            mend="write the caption, or remove the row",
        )
    return value


def _gender(path: Path, number: int, value: str) -> str:
    gender = _GENDER_VALUES.get(value.strip().casefold())
    if gender is None:
        raise InputError(
            f"{path}, row {number}, column {GENDER_COLUMN!r}",
            found=repr(value),
            expected="male, m, man, boy, female, f, woman, girl, unknown, u, or nothing",
            mend="write one of these; unknown where the picture does not show the gender",
        )
    return gender


class _Consistency:
    """What rows must not contradict: ids, and one gender, category and group an image."""

    def __init__(self, path: Path):
        self.path = path
        self.images: dict[str, tuple[int, dict[str, str | None]]] = {}
        self.captions: dict[str, dict[tuple[str, ...], int]] = {}
        self.sample_ids: dict[str, int] = {}

    def add(
        self,
        number: int,
        image_id: str,
        texts: dict[str, str],
        told: dict[str, str | None],
        sample_id: str | None,
    ) -> int:
        """Check one row against the rows before it; returns how many rows this image had already.

        `told`: column -> value that all rows of an image have in common.
        """
        if sample_id is not None:
            first = self.sample_ids.setdefault(sample_id.strip(), number)
            if first != number:
                raise self._error(
                    number, "sample_id", f"{sample_id!r} again (first in row {first})", "each sample id once"
                )
        first, known = self.images.setdefault(image_id, (number, told))
        for column, value in told.items():
            if value != known[column]:
                raise self._error(
                    number,
                    column,
                    f"{value!r} for image {image_id!r}, but {known[column]!r} in row {first}",
                    "one value in all rows of an image",
                )
        earlier = self.captions.setdefault(image_id, {})
        first = earlier.setdefault(tuple(texts.values()), number)
        if first != number:
            raise self._error(
                number,
                "image_id",
                f"image {image_id!r} with the same captions as in row {first}",
                "each sample once; several rows of an image differ in their captions",
            )
        return len(earlier) - 1

    def _error(self, number: int, column: str, found: str, expected: str) -> InputError:
        where = f"{self.path}, row {number}, column {column!r}"
        return InputError(where, found=found, expected=expected, mend="correct or remove one of the two rows")
